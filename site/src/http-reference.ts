import { useData, withBase } from 'vitepress';
import { defineComponent, h, onMounted, onUnmounted, ref, watch } from 'vue';

/** Swagger UI on the service's OpenAPI document, which the build writes beside the pages. Nothing can be sent: the site has no service. */
export const HttpReference = defineComponent(() => {
  const place = ref<HTMLElement>();
  const { isDark } = useData();
  const DARK = 'dark-mode';
  onMounted(() => {
    watch(isDark, (dark) => document.documentElement.classList.toggle(DARK, dark), { immediate: true });
  });
  onUnmounted(() => document.documentElement.classList.remove(DARK));
  onMounted(async () => {
    const [{ default: SwaggerUI }] = await Promise.all([
      import('swagger-ui-dist/swagger-ui-es-bundle.js'),
      import('swagger-ui-dist/swagger-ui.css'),
    ]);
    SwaggerUI({
      domNode: place.value,
      url: withBase('/openapi.json'),
      supportedSubmitMethods: [],
      docExpansion: 'list',
      defaultModelsExpandDepth: 0,
    });
  });
  return () => [
    h('p', h('a', { href: withBase('/openapi.json'), target: '_self' }, 'As OpenAPI 3.1')),
    h('div', { ref: place }),
  ];
});
