/**
 * The part of the WebAssembly interface that Holdfast uses: the types of Node.js leave it to the DOM library, which
 * would bring a browser with it.
 */
declare namespace WebAssembly {
  class Memory {
    /** `initial` and `maximum` in pages of 64 KiB. */
    constructor(descriptor: { initial: number; maximum?: number; shared?: boolean });
    readonly buffer: ArrayBufferLike;
  }

  class Module {
    constructor(bytes: Uint8Array);
  }

  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, unknown>>);
    readonly exports: Readonly<Record<string, unknown>>;
  }
}
