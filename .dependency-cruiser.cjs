// The layering of docs/architecture.md as rules: stages know the model and themselves, nothing else;
// the roots compose; what is dangerous (native code, sockets, configuration parsing) has one home each.
const STAGES = 'ring|decode|enrich|filter|group|encode|pump|containers|sampling|export|telemetry';

module.exports = {
  forbidden: [
    {
      name: 'stage-knows-no-other',
      comment:
        'A stage imports neither another stage nor a root: src/collector.ts and src/pump-worker.ts compose.',
      severity: 'error',
      from: { path: `^src/(${STAGES})/` },
      to: { path: '^src/', pathNot: '^src/(model|$1)/' },
    },
    {
      name: 'model-knows-nothing',
      comment: 'What crosses stages depends on none of them.',
      severity: 'error',
      from: { path: '^src/model/' },
      to: { path: '^src/', pathNot: '^src/model/' },
    },
    {
      name: 'config-gives-options-only',
      comment: "Configuration may name a stage's options, as types; it runs no stage.",
      severity: 'error',
      from: { path: '^src/config/' },
      to: { path: '^src/', pathNot: '^src/(model|config)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'loader-knows-model-only',
      comment: 'Loading and attaching is driven by the collector.',
      severity: 'error',
      from: { path: '^src/bpf/' },
      to: { path: '^src/', pathNot: '^src/(model|bpf)/' },
    },
    {
      name: 'native-code-in-bpf-and-ring',
      comment: 'A wrong pointer ends the process; it is looked for in two folders.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(bpf|ring)/|^src/cli/doctor' },
      to: { path: '(^|node_modules/)koffi' },
    },
    {
      name: 'sockets-have-a-home',
      comment:
        'Sockets only in containers (runtimes), export (backends) and telemetry (scrapes, control socket).',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(containers|export|telemetry)/|^src/cli/doctor' },
      to: { path: '^(node:)?(net|http|https|http2|tls|dgram)$' },
    },
    {
      name: 'grpc-where-sockets-are',
      comment: 'gRPC is spoken to backends and container runtimes, and by the own telemetry.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(containers|export|telemetry)/' },
      to: { path: '(^|node_modules/)@grpc/' },
    },
    {
      name: 'configuration-parsing-in-config',
      comment: 'One place reads what users wrote; the rest gets options.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/config/' },
      to: { path: '(^|node_modules/)(convict|yaml)(/|$)' },
    },
    {
      name: 'no-cycle',
      comment: 'A cycle has no order of start and stop.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-orphan',
      comment: 'A file that nothing imports is dead, unless it is where a thread starts.',
      severity: 'error',
      from: { orphan: true, path: '^src/', pathNot: '^src/(main|pump-worker)[.]ts$' },
      to: {},
    },
    {
      name: 'no-development-dependency',
      comment: 'The package ships without devDependencies.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
