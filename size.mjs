import { build } from 'vite'; import { gzipSync } from 'node:zlib';
const root=process.cwd(); const [r]=await build({root:'/tmp/w',configFile:false,logLevel:'silent',resolve:{conditions:['@whet/source','module','browser','production']},build:{write:false,target:'es2022',lib:{entry:root+'/test/src/browser/web-entry.js',formats:['es']},rollupOptions:{external:[/^onnxruntime-/]}}});
const cs=r.output.filter(f=>f.type==='chunk'&&!f.fileName.startsWith('archive')); console.log(gzipSync(cs.map(c=>c.code).join('\n'),{level:9}).length);
