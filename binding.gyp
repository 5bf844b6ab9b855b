{
  # core: the segment and the wire, free of Node.  addon: Node-API over it.
  'target_defaults': {
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-O3', '-O2'],
    'cflags_cc': [
      '-std=c++20', '-O3', '-fPIC', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden', '-fvisibility-inlines-hidden',
      '-fno-semantic-interposition', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-cast-function-type',
    ],
    'defines': ['_GNU_SOURCE'],
  },
  'targets': [
    {
      'target_name': 'core',
      'type': 'static_library',
      'sources': ['<!@(ls native/core/*.cc native/net/*.cc)'],
    },
    {
      'target_name': 'holdfast',
      'dependencies': ['core'],
      'sources': ['<!@(ls native/binding/*.cc)'],
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
      'defines': ['NAPI_VERSION=9', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED'],
      'ldflags': ['-static-libstdc++', '-Wl,--gc-sections', '-Wl,--exclude-libs,ALL'],
    },
  ],
}
