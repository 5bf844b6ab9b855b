/* sip_parser.h - one SIP message in, a table of offsets out.
 *
 * sip_parse() reads `length` bytes at `message` and writes to SIP_WORDS 32-bit words: all fixed words and the rows
 * of the two tables that are in use; rows behind the counts keep what they held.  Every *_OFF is a byte offset from
 * `message`, every *_LEN a number of bytes; nothing is copied, nothing is allocated, no state is kept.  The caller
 * gives SIP_PADDING readable bytes after the message.  The grammar is RFC 3261 section 25 with the additions of
 * RFC 3581, RFC 5118 and RFC 5954; the tests name the section they prove.
 *
 * The same file is built as WebAssembly for the product and natively for sanitizers and fuzzers.  The
 * TypeScript names of these words are generated from this header (scripts/generate-words.mjs).
 */
#ifndef HOLDFAST_SIP_PARSER_H
#define HOLDFAST_SIP_PARSER_H
#include <stdint.h>

/* clang-format off: words that belong together stand on one line */
enum {
  SIP_PADDING = 32,
  SIP_FIXED_WORDS = 128,
  SIP_HEADERS_MAX = 192,      /* more header fields than this are refused */
  SIP_HEADER_WORDS = 4,
  SIP_ITEMS_MAX = 192,        /* values of Via, Route, Record-Route and Contact together */
  SIP_ITEM_WORDS = 6,
  SIP_HEADERS_AT = 128,       /* word index of the header table */
  SIP_ITEMS_AT = 128 + 192 * 4,
  SIP_WORDS = 2048,           /* = SIP_ITEMS_AT + SIP_ITEMS_MAX * SIP_ITEM_WORDS */
  SIP_URI_WORDS = 24,
  SIP_PARSER_RESERVED_BYTES = 65536,  /* WebAssembly: the module's own stack and data, from address 0 */
};
#define SIP_NONE 0xffffffffu  /* a number that is not there */

/* Fixed words.  A length of 0 means that the element is absent; its offset is then 0. */
enum sip_word {
  SIP_W_STATUS,               /* 0, or a reason code: enum sip_fault */
  SIP_W_FAULT_OFF,            /* where the fault was seen: the first byte that does not fit */
  SIP_W_KIND,                 /* 1 request, 2 response, 0 neither (then it was refused) */
  SIP_W_METHOD,               /* enum sip_method; of a response: the CSeq's */
  SIP_W_CODE,                 /* status code of a response, else 0 */
  SIP_W_METHOD_OFF, SIP_W_METHOD_LEN,
  SIP_W_RURI_OFF, SIP_W_RURI_LEN,
  SIP_W_REASON_OFF, SIP_W_REASON_LEN,
  SIP_W_START_OFF,            /* start line (CRLFs before it are skipped) */
  SIP_W_HEADERS_OFF,          /* first header line */
  SIP_W_HEADERS_END,          /* the empty line that ends the header */
  SIP_W_BODY_OFF,
  SIP_W_BODY_LEN,             /* min(Content-Length, bytes left); bytes left if there is no Content-Length */
  SIP_W_REST_LEN,             /* bytes after the header in the datagram */
  SIP_W_CONTENT_LENGTH,       /* SIP_NONE if absent */
  SIP_W_HEADER_COUNT,
  SIP_W_ITEM_COUNT,
  SIP_W_PRESENT_LO, SIP_W_PRESENT_HI,   /* bit n: a header of enum sip_header n is there */

  SIP_W_CALL_ID_OFF, SIP_W_CALL_ID_LEN,
  SIP_W_CSEQ_NUMBER, SIP_W_CSEQ_OFF, SIP_W_CSEQ_LEN,    /* the digits; value SIP_NONE if absent or too large */
  SIP_W_CSEQ_METHOD, SIP_W_CSEQ_METHOD_OFF, SIP_W_CSEQ_METHOD_LEN,
  SIP_W_MAX_FORWARDS, SIP_W_MAX_FORWARDS_OFF, SIP_W_MAX_FORWARDS_LEN,   /* value SIP_NONE if absent */
  SIP_W_MAX_BREADTH, SIP_W_MAX_BREADTH_OFF, SIP_W_MAX_BREADTH_LEN,      /* RFC 5393; SIP_NONE if absent */

  SIP_W_FROM_OFF, SIP_W_FROM_LEN,       /* whole value, white space trimmed */
  SIP_W_FROM_URI_OFF, SIP_W_FROM_URI_LEN,
  SIP_W_FROM_TAG_OFF, SIP_W_FROM_TAG_LEN,
  SIP_W_TO_OFF, SIP_W_TO_LEN,
  SIP_W_TO_URI_OFF, SIP_W_TO_URI_LEN,
  SIP_W_TO_TAG_OFF, SIP_W_TO_TAG_LEN,

  SIP_W_VIA_COUNT,                      /* values over all Via lines */
  SIP_W_VIA_LINE_OFF,                   /* line of the topmost value */
  SIP_W_VIA_LINE_END,                   /* after that line's line end */
  SIP_W_VIA_OFF, SIP_W_VIA_LEN,         /* the topmost value */
  SIP_W_VIA_NEXT_OFF,                   /* next value on the same line, else 0 */
  SIP_W_VIA_TRANSPORT_OFF, SIP_W_VIA_TRANSPORT_LEN,
  SIP_W_VIA_HOST_OFF, SIP_W_VIA_HOST_LEN,       /* sent-by host; an IPv6 reference with its brackets */
  SIP_W_VIA_PORT,                       /* 0 if absent */
  SIP_W_VIA_SENT_BY_END,                /* just after host[:port]: where parameters may be inserted */
  SIP_W_VIA_BRANCH_OFF, SIP_W_VIA_BRANCH_LEN,
  SIP_W_VIA_RECEIVED_OFF, SIP_W_VIA_RECEIVED_LEN,
  SIP_W_VIA_RPORT_OFF,                  /* just after the name "rport", 0 if there is no such parameter */
  SIP_W_VIA_RPORT,                      /* its number, 0 if it has no value */
  SIP_W_VIA_MADDR_OFF, SIP_W_VIA_MADDR_LEN,
  SIP_W_VIA_TTL,                        /* SIP_NONE if absent */

  SIP_W_CONTACT_COUNT, SIP_W_CONTACT_STAR,
  SIP_W_CONTACT_OFF, SIP_W_CONTACT_LEN,         /* first value */
  SIP_W_CONTACT_URI_OFF, SIP_W_CONTACT_URI_LEN,
  SIP_W_ROUTE_COUNT, SIP_W_ROUTE_ITEM,          /* index into the item table of the first */
  SIP_W_RECORD_ROUTE_COUNT, SIP_W_RECORD_ROUTE_ITEM,
  SIP_W_FIXED_END
};

/* Header table, SIP_HEADER_WORDS each, in order: id << 16 | name length; line offset (the name starts
 * there); value offset; value length (trimmed, folds inside).  A line ends where the next begins.  The value of a
 * field without one stands just after the colon.  A line that is no header field (SIP_BAD_HEADER_LINE) has id
 * SIP_HDR_OTHER and name length 0, and is its own value. */
enum sip_header_word { SIP_H_ID_NAME_LEN, SIP_H_LINE_OFF, SIP_H_VALUE_OFF, SIP_H_VALUE_LEN };

/* Item table, SIP_ITEM_WORDS each, in order of appearance: id << 16 | index in the header table; value offset;
 * value length; URI offset; URI length; next item of the same header name (0: none).
 * Of a Via the URI words are the branch; of a Contact "*" the URI length is 0. */
enum sip_item_word { SIP_I_ID_HEADER, SIP_I_OFF, SIP_I_LEN, SIP_I_URI_OFF, SIP_I_URI_LEN, SIP_I_NEXT };

enum sip_method {
  SIP_UNKNOWN, SIP_INVITE, SIP_ACK, SIP_BYE, SIP_CANCEL, SIP_OPTIONS, SIP_REGISTER, SIP_PRACK, SIP_UPDATE,
  SIP_INFO, SIP_REFER, SIP_SUBSCRIBE, SIP_NOTIFY, SIP_MESSAGE, SIP_PUBLISH
};

/* Names of header fields the parser knows (with their compact forms); any other is SIP_HDR_OTHER. */
enum sip_header {
  SIP_HDR_OTHER, SIP_HDR_VIA, SIP_HDR_FROM, SIP_HDR_TO, SIP_HDR_CALL_ID, SIP_HDR_CSEQ, SIP_HDR_MAX_FORWARDS,
  SIP_HDR_CONTACT, SIP_HDR_ROUTE, SIP_HDR_RECORD_ROUTE, SIP_HDR_CONTENT_LENGTH, SIP_HDR_CONTENT_TYPE,
  SIP_HDR_REQUIRE, SIP_HDR_PROXY_REQUIRE, SIP_HDR_SUPPORTED, SIP_HDR_UNSUPPORTED, SIP_HDR_ALLOW,
  SIP_HDR_AUTHORIZATION, SIP_HDR_PROXY_AUTHORIZATION, SIP_HDR_WWW_AUTHENTICATE, SIP_HDR_PROXY_AUTHENTICATE,
  SIP_HDR_EXPIRES, SIP_HDR_RACK, SIP_HDR_RSEQ, SIP_HDR_REFER_TO, SIP_HDR_REFERRED_BY, SIP_HDR_REPLACES,
  SIP_HDR_EVENT, SIP_HDR_SUBSCRIPTION_STATE, SIP_HDR_SUBJECT, SIP_HDR_USER_AGENT, SIP_HDR_SERVER,
  SIP_HDR_TIMESTAMP, SIP_HDR_DATE, SIP_HDR_WARNING, SIP_HDR_RETRY_AFTER, SIP_HDR_SESSION_EXPIRES, SIP_HDR_MIN_SE,
  SIP_HDR_MAX_BREADTH, SIP_HDR_REASON, SIP_HDR_P_ASSERTED_IDENTITY, SIP_HDR_PATH, SIP_HDR_SERVICE_ROUTE,
  SIP_HDR_CONTENT_ENCODING, SIP_HDR_COUNT
};

/* Why a message was refused: the first fault that was seen.  A request is answered 400 (or 505, where it says so) if
 * the sender can be found; sip_answerable() tells whether Via, From, To, Call-ID and CSeq could be read all the same.
 * After SIP_NO_END_OF_HEADER and SIP_TOO_MANY_* nothing more was read; after any other fault everything was. */
enum sip_fault {
  SIP_OK,
  SIP_BAD_START_LINE,         /* neither a Request-Line nor a Status-Line; a response of another version */
  SIP_BAD_VERSION,            /* a request whose version is not SIP/2.0: 505 */
  SIP_BAD_REQUEST_URI,        /* empty, in angle brackets, or with white space inside */
  SIP_BAD_STATUS_CODE,
  SIP_BAD_HEADER_LINE,        /* no colon, or no name */
  SIP_NO_END_OF_HEADER,       /* the datagram ends inside the header */
  SIP_TOO_MANY_HEADERS, SIP_TOO_MANY_ITEMS,
  SIP_MISSING_VIA, SIP_MISSING_FROM, SIP_MISSING_TO, SIP_MISSING_CALL_ID, SIP_MISSING_CSEQ,
  SIP_REPEATED_HEADER,        /* one of From, To, Call-ID, CSeq, Max-Forwards, Max-Breadth, Content-Length twice
                               * with different values; the words are those of the first */
  SIP_BAD_VIA, SIP_BAD_FROM, SIP_BAD_TO, SIP_BAD_CALL_ID, SIP_BAD_CSEQ, SIP_BAD_MAX_FORWARDS, SIP_BAD_CONTACT,
  SIP_BAD_ROUTE, SIP_BAD_RECORD_ROUTE, SIP_BAD_CONTENT_LENGTH,
  SIP_SHORT_BODY,             /* Content-Length says more than the datagram holds */
  SIP_CSEQ_METHOD_MISMATCH,   /* CSeq names another method than the request line */
  SIP_BAD_MAX_BREADTH,
  SIP_FAULT_COUNT
};

/* Words of one URI, by sip_parse_uri(). */
enum sip_uri_word {
  SIP_U_STATUS,               /* 0: a sip or sips URI that can be routed by; 1: another scheme, or malformed */
  SIP_U_SCHEME,               /* 1 sip, 2 sips, 3 tel (its number is the user), 0 another */
  SIP_U_SCHEME_LEN,           /* 0: no scheme at all, so no URI */
  SIP_U_USER_OFF, SIP_U_USER_LEN, SIP_U_PASSWORD_OFF, SIP_U_PASSWORD_LEN,
  SIP_U_HOST_OFF, SIP_U_HOST_LEN,       /* an IPv6 reference with its brackets */
  SIP_U_PORT,                           /* 0 if absent */
  SIP_U_PARAMS_OFF, SIP_U_PARAMS_LEN,   /* from the first ';' */
  SIP_U_HEADERS_OFF, SIP_U_HEADERS_LEN, /* from the '?' */
  SIP_U_LR,                             /* 1 if the parameter lr is there */
  SIP_U_TRANSPORT,                      /* 0 none, 1 udp, 2 tcp, 3 tls, 4 sctp, 5 ws, 6 wss, 7 another */
  SIP_U_MADDR_OFF, SIP_U_MADDR_LEN,
  SIP_U_TTL,                            /* SIP_NONE if absent */
  SIP_U_R2,                             /* 1 if the parameter r2 is there */
  SIP_U_FTAG_OFF, SIP_U_FTAG_LEN,
  SIP_U_END
};

/* Parses the message; returns the status word.  A message that breaks a rule keeps its other words, so that it can be
 * answered. */
uint32_t sip_parse(const uint8_t *message, uint32_t length, uint32_t *words);

/* 1 if Via, From, To, Call-ID and CSeq of the parsed message can be copied into a response: the topmost Via has a
 * sent-by and none of the others is empty.  Always 1 when the status is SIP_OK. */
uint32_t sip_answerable(const uint32_t *words);

/* Parses one URI of the message; offsets in `words` are from `message`.  Returns the status word. */
uint32_t sip_parse_uri(const uint8_t *message, uint32_t offset, uint32_t length, uint32_t *words);

/* Finds parameter `name` (lower case) in `;name=value;...` at [offset, offset+length) of `message`; the first of two
 * counts.  Writes value offset and length to words[0], words[1] (quotes stripped, 0 and 0 without a value); returns 1
 * if it is there, with or without a value. */
uint32_t sip_find_parameter(const uint8_t *message, uint32_t offset, uint32_t length, const uint8_t *name,
                            uint32_t name_length, uint32_t *words);

#endif
