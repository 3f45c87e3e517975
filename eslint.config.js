import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: [".venv/", "**/.cache/"] },
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error", reportUnusedInlineConfigs: "error" },
    rules: {
      eqeqeq: "error",
      "no-implicit-globals": "error",
      "no-restricted-properties": [
        "error",
        { property: "innerHTML", message: "Text from the network must become text nodes." },
        { property: "outerHTML", message: "Text from the network must become text nodes." },
        { property: "insertAdjacentHTML", message: "Text from the network must become text nodes." },
      ],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
    },
  },
  {
    files: ["pubsub/console/static/**/*.js"],
    languageOptions: { globals: globals.browser },
  },
  {
    // The only script that is not a module: it has to run before the first paint.
    files: ["pubsub/console/static/pubsub/console/theme.js"],
    languageOptions: { sourceType: "script" },
  },
  {
    files: ["bench/peers/*.cjs"],
    languageOptions: { sourceType: "commonjs", globals: globals.node },
  },
];
