import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  worker: { format: "es" },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: "es2022",
    // Everything stays a file of its own: the page's policy allows no data: scripts.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2500,
    // The licences of what is bundled go out with it.
    license: { fileName: "licenses.md" },
    modulePreload: { polyfill: false },
  },
});
