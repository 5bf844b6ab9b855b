/**
 * The addresses we listen on, by flow number (1-based): their text in Via and Record-Route, which one a destination is
 * reached from, and whether a URI names us.
 */
import { Address, hostText, readAddressText } from './address.js';

export type ListenAddress = { readonly address: string; readonly port: number };

/** One listen address. */
export type Socket = {
  readonly flow: number;
  readonly address: string;
  readonly port: number;
  readonly isV4: boolean;
  /** `udp:127.0.0.1:5060`, as listings and `$dlg(from_bindaddr)` print it. */
  readonly name: string;
  /** `127.0.0.1:5060`, IPv6 in brackets. */
  readonly hostPort: string;
  /** How our Via and our Record-Route through it begin. */
  readonly viaStart: Uint8Array;
  readonly recordRouteStart: Uint8Array;
};

export class Sockets {
  readonly all: readonly Socket[];
  private readonly addresses: readonly Address[];
  private readonly probe = new Address();

  constructor(listen: readonly ListenAddress[]) {
    this.all = listen.map((one, n) => {
      const hostPort = `${hostText(one.address)}:${one.port}`;
      return {
        flow: n + 1,
        address: one.address,
        port: one.port,
        isV4: !one.address.includes(':'),
        name: `udp:${hostPort}`,
        hostPort,
        viaStart: Buffer.from(`Via: SIP/2.0/UDP ${hostPort};branch=z9hG4bK`),
        recordRouteStart: Buffer.from(`Record-Route: <sip:${hostPort}`),
      };
    });
    this.addresses = this.all.map((socket) => {
      const address = new Address();
      if (!readAddressText(socket.address, address)) throw new Error(`not an IP address: ${socket.address}`);
      return address;
    });
  }

  /** The socket with this flow number. */
  of(flow: number): Socket {
    return this.all[flow - 1]!;
  }

  /** The flow a destination of this family is reached from: the one the request came on if it can, else the first. */
  flowTo(isV4: boolean, cameOn: number): number {
    if (cameOn !== 0 && this.of(cameOn).isV4 === isV4) return cameOn;
    for (const socket of this.all) if (socket.isV4 === isV4) return socket.flow;
    return 0;
  }

  /** Whether (address, port) is one of ours; port 0 stands for 5060.  Names of hosts never are: we have no aliases. */
  isOurs(address: Address, port: number): boolean {
    const wanted = port === 0 ? 5060 : port;
    for (let n = 0; n < this.all.length; n++) {
      if (this.all[n]!.port !== wanted) continue;
      const ours = this.addresses[n]!;
      if (ours.equals(address.a0, address.a1, address.a2, address.a3)) return true;
    }
    return false;
  }

  /** The same for text: `127.0.0.1`, `[::1]`. */
  isOursText(host: string, port: number): boolean {
    return readAddressText(host, this.probe) && this.isOurs(this.probe, port);
  }
}
