/**
 * Who may import whom among the rooms of src/.  test/layers.test.ts runs this.
 *
 * `sip`, `memory` and `config` are the ground and free to all, and so are the files that stand in src/ itself.
 */
const GROUND = ['sip', 'memory', 'config'];

const MAY_IMPORT = {
  sip: [],
  memory: [],
  config: [],
  transport: [],
  transaction: ['transport'],
  proxy: ['transaction', 'transport'],
  dialog: [],
  script: ['proxy', 'dialog', 'transport'], // transport for how addresses are written
  engine: ['dialog', 'transport'], // the dialogs without a proxy; transport for how addresses are written
  store: ['dialog'],
  cluster: ['dialog', 'transport'],
  rpc: ['dialog'],
  cli: ['rpc', 'server'], // server by `start` alone, and only when it runs
  web: ['rpc'],
  // server: assembly, may import every room
};

const rules = Object.entries(MAY_IMPORT).map(([room, rooms]) => {
  const ground = GROUND.includes(room) ? [] : GROUND;
  const allowed = [room, ...rooms, ...ground].join('|');
  return {
    name: `${room}-imports-down`,
    severity: 'error',
    from: { path: `^src/${room}/` },
    to: { path: '^src/[^/]+/', pathNot: `^src/(${allowed})/` },
  };
});

module.exports = {
  forbidden: [
    ...rules,
    {
      name: 'shared-files-import-no-room',
      severity: 'error',
      from: { path: '^src/[^/]+\\.ts$', pathNot: '^src/index\\.ts$' },
      to: { path: '^src/[^/]+/' },
    },
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    {
      name: 'only-what-is-declared',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown', 'undetermined'] },
    },
    { name: 'addon-has-one-importer', severity: 'error', from: { pathNot: '^src/memory/addon\\.ts$' }, to: { path: 'node-gyp-build' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
