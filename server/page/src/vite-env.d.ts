/// <reference types="vite/client" />
declare module 'virtual:demo-url' {
  const url: string;
  export default url;
}
