export * from '@whet/runtime/web';
