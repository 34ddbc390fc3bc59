// ESLint: typescript-eslint's rules with types, the limits of size, and the rule of the hot path.
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { hotPathRule } from './scripts/lint/hot-path.ts';

export default defineConfig([
  globalIgnores(['dist/', 'dist.new/', 'build/', 'bpf/build/', '**/node_modules/', '**/*.cjs']),
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: { project: ['./tsconfig.test.json'], tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-globals': ['error', 'escape', 'unescape'],
      'prefer-const': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      // An interface may ask for a promise that one of its functions needs no waiting for.
      '@typescript-eslint/require-await': 'off',
      'no-control-regex': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_', argsIgnorePattern: '^_' }],
      '@typescript-eslint/only-throw-error': [
        'error',
        { allowThrowingUnknown: true, allowThrowingAny: true },
      ],
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/prefer-readonly': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true, allowNullish: true, allowArray: true },
      ],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'max-lines': ['error', 299],
      'max-lines-per-function': ['error', { max: 69, skipComments: true }],
    },
  },
  {
    // Generated.
    files: ['src/model/record-layout.ts'],
    rules: { 'max-lines': 'off' },
  },
  {
    files: ['src/main.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/main.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'exit', message: 'Only src/main.ts ends the process.' },
      ],
    },
  },
  {
    files: ['src/{ring,decode,enrich,filter,group,encode,pump}/**/*.ts'],
    plugins: { fdspan: { rules: { 'hot-path': hotPathRule } } },
    rules: { 'fdspan/hot-path': 'error' },
  },
  {
    // Cold files of the hot folders: run at start, or once for each container.
    files: ['src/encode/{protobuf,resource}.ts', 'src/filter/{glob-parser,glob-table}.ts'],
    rules: { 'fdspan/hot-path': 'off' },
  },
  {
    // Foreign functions, decoded messages and a test's JSON are `any` by nature.
    files: ['src/bpf/**/*.ts', 'src/ring/libc.ts', 'src/export/grpc-transport.ts', 'test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  {
    files: ['test/**/*.ts', 'scripts/**/*.ts'],
    rules: {
      'no-console': 'off',
      // `test()` gives a promise that the runner itself waits for.
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', name: ['test', 'it', 'describe', 'suite'], package: 'node:test' },
          ],
        },
      ],
    },
  },
]);
