/* sip_parser.c - the parser behind sip_parser.h, in one file.
 *
 * Reading order: bytes and character classes, names, the start line, one function for each kind of value, the
 * header loop, and at the end the four exported functions.  A function that reads a value takes [at, end) and
 * never looks past `end`, except that a search loads 16 bytes at once; `end` is at most the length of the
 * message, so that stays inside the padding.
 *
 * The first fault is kept; what can still be read after it is read, so that the message can be answered.
 */
#include "sip_parser.h"

#include <stdbool.h>

#if defined(SIP_PARSER_SCALAR)
#define SIP_SIMD 0
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#define SIP_SIMD 1
#elif defined(__SSE2__)
#include <emmintrin.h>
#define SIP_SIMD 1
#else
#define SIP_SIMD 0
#endif

#define INLINE static inline __attribute__((always_inline))

#if defined(__wasm__)
#define EXPORT(name) __attribute__((export_name(name)))
#else
#define EXPORT(name)
#endif

enum {
  PORT_MAX = 65535,
  STATUS_CODE_MIN = 100,
  STATUS_CODE_MAX = 699,
  OCTET_MAX = 255,
  NUMBER_MAX = 0x7fffffff, /* CSeq, Content-Length and Max-Breadth stay below 2^31 */
};

/* ---- 16 bytes at a time -------------------------------------------------------------------------------- */

#if defined(__wasm_simd128__) && SIP_SIMD
typedef v128_t Bytes;
INLINE Bytes load_bytes(const uint8_t* at) { return wasm_v128_load(at); }
INLINE Bytes equal(Bytes bytes, char c) { return wasm_i8x16_eq(bytes, wasm_i8x16_splat(c)); }
INLINE Bytes at_most(Bytes bytes, char c) { return wasm_u8x16_le(bytes, wasm_i8x16_splat(c)); }
INLINE Bytes either(Bytes a, Bytes b) { return wasm_v128_or(a, b); }
INLINE uint32_t mask_of(Bytes bytes) { return wasm_i8x16_bitmask(bytes); }
#elif SIP_SIMD
typedef __m128i Bytes;
INLINE Bytes load_bytes(const uint8_t* at) { return _mm_loadu_si128((const __m128i*)at); }
INLINE Bytes equal(Bytes bytes, char c) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)); }
INLINE Bytes at_most(Bytes bytes, char c) {
  return _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(c)), bytes);
}
INLINE Bytes either(Bytes a, Bytes b) { return _mm_or_si128(a, b); }
INLINE uint32_t mask_of(Bytes bytes) { return (uint32_t)_mm_movemask_epi8(bytes); }
#else
/* Without SIMD a vector is one byte, and a mask has one bit. */
typedef uint8_t Bytes;
INLINE Bytes load_bytes(const uint8_t* at) { return *at; }
INLINE Bytes equal(Bytes bytes, char c) { return bytes == (uint8_t)c; }
INLINE Bytes at_most(Bytes bytes, char c) { return bytes <= (uint8_t)c; }
INLINE Bytes either(Bytes a, Bytes b) { return a | b; }
INLINE uint32_t mask_of(Bytes bytes) { return bytes; }
#endif

/* Defines find_<set>(): the first byte of [at, end) that is in the set, or `end`. */
#define DEFINE_FIND(set, members)                                           \
  INLINE uint32_t find_##set(const uint8_t* m, uint32_t at, uint32_t end) { \
    for (; at < end; at += sizeof(Bytes)) {                                 \
      const Bytes bytes = load_bytes(m + at);                               \
      const uint32_t mask = mask_of(members);                               \
      if (mask) {                                                           \
        at += (uint32_t)__builtin_ctz(mask);                                \
        return at < end ? at : end;                                         \
      }                                                                     \
    }                                                                       \
    return end;                                                             \
  }

DEFINE_FIND(line_feed, equal(bytes, '\n'))
DEFINE_FIND(colon, equal(bytes, ':'))
DEFINE_FIND(right_angle, equal(bytes, '>'))
DEFINE_FIND(semicolon_or_quote, either(equal(bytes, ';'), equal(bytes, '"')))
DEFINE_FIND(comma_or_quote, either(equal(bytes, ','), equal(bytes, '"')))
DEFINE_FIND(quote_or_backslash, either(equal(bytes, '"'), equal(bytes, '\\')))
DEFINE_FIND(at_sign, equal(bytes, '@'))
/* Controls and space, which no Call-ID may contain. */
DEFINE_FIND(gap, either(at_most(bytes, ' '), equal(bytes, 0x7f)))
/* What ends the value of a parameter that is not quoted. */
DEFINE_FIND(value_end, either(at_most(bytes, ' '), either(equal(bytes, ';'), equal(bytes, ','))))
/* What ends the name of a parameter. */
DEFINE_FIND(name_end, either(either(at_most(bytes, ' '), equal(bytes, '=')),
                             either(equal(bytes, ';'), equal(bytes, ','))))
/* What no URI may contain. */
DEFINE_FIND(not_uri, either(either(at_most(bytes, ' '), equal(bytes, 0x7f)),
                            either(equal(bytes, '"'), either(equal(bytes, '<'), equal(bytes, '>')))))
/* What decides between name-addr and addr-spec. */
DEFINE_FIND(address_mark, either(either(equal(bytes, '<'), equal(bytes, ';')),
                                 either(equal(bytes, ','), equal(bytes, '"'))))

INLINE void clear_words(uint32_t* words, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) words[i] = 0;
}

/* ---- character classes [RFC 3261 25.1] ------------------------------------------------------------------
 */

/* One bit for each of the bytes 0-63 and 64-127. */
INLINE bool in_class(uint8_t c, uint64_t low, uint64_t high) {
  return c < 128 && (((c < 64 ? low : high) >> (c & 63)) & 1);
}

#define BIT(c) (1ull << ((c) & 63))
#define DIGITS (0x3ffull << '0')
#define LETTERS (BIT('A') * 0x3ffffff | BIT('a') * 0x3ffffff)

INLINE bool is_token(uint8_t c) {
  return in_class(c, DIGITS | BIT('-') | BIT('.') | BIT('!') | BIT('%') | BIT('*') | BIT('+') | BIT('\''),
                  LETTERS | BIT('_') | BIT('`') | BIT('~'));
}
INLINE bool is_host(uint8_t c) { return in_class(c, DIGITS | BIT('-') | BIT('.'), LETTERS | BIT('_')); }
INLINE bool is_in_reference(uint8_t c) {
  return in_class(c, DIGITS | BIT(':') | BIT('.'), BIT('A') * 0x3f | BIT('a') * 0x3f);
}
INLINE bool is_scheme(uint8_t c) { return in_class(c, DIGITS | BIT('+') | BIT('-') | BIT('.'), LETTERS); }
INLINE bool is_letter(uint8_t c) { return in_class(c, 0, LETTERS); }
INLINE bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }
INLINE bool is_blank(uint8_t c) { return c == ' ' || c == '\t'; }
INLINE bool is_space(uint8_t c) {
  return c <= ' ' && in_class(c, BIT(' ') | BIT('\t') | BIT('\r') | BIT('\n'), 0);
}

INLINE uint32_t skip_space(const uint8_t* m, uint32_t at, uint32_t end) {
  while (at < end && is_space(m[at])) at++;
  return at;
}
INLINE uint32_t trim_space(const uint8_t* m, uint32_t at, uint32_t end) {
  while (end > at && is_space(m[end - 1])) end--;
  return end;
}
INLINE uint32_t skip_token(const uint8_t* m, uint32_t at, uint32_t end) {
  while (at < end && is_token(m[at])) at++;
  return at;
}
INLINE uint32_t skip_digits(const uint8_t* m, uint32_t at, uint32_t end) {
  while (at < end && is_digit(m[at])) at++;
  return at;
}

/* ---- small words ----------------------------------------------------------------------------------------
 */

/* Keeps the first fault. */
INLINE void fault(uint32_t* words, uint32_t code, uint32_t at) {
  if (words[SIP_W_STATUS] != SIP_OK) return;
  words[SIP_W_STATUS] = code;
  words[SIP_W_FAULT_OFF] = at;
}

/* Writes offset and length of [at, end) to two words; of nothing, two zeros. */
INLINE void put_span(uint32_t* pair, uint32_t at, uint32_t end) {
  pair[0] = end > at ? at : 0;
  pair[1] = end > at ? end - at : 0;
}

/* The number that [at, end) is, or SIP_NONE: not all digits, none at all, or more than `max`. */
INLINE uint32_t read_number(const uint8_t* m, uint32_t at, uint32_t end, uint32_t max) {
  if (at >= end) return SIP_NONE;
  uint64_t value = 0;
  for (; at < end; at++) {
    if (!is_digit(m[at])) return SIP_NONE;
    value = value * 10 + (m[at] - '0');
    if (value > max) return SIP_NONE;
  }
  return (uint32_t)value;
}

/* After the quoted string that begins at `at`, or SIP_NONE if it has no end. */
INLINE uint32_t skip_quoted(const uint8_t* m, uint32_t at, uint32_t end) {
  at = find_quote_or_backslash(m, at + 1, end);
  while (at < end && m[at] == '\\') at = find_quote_or_backslash(m, at + 2, end);
  return at < end ? at + 1 : SIP_NONE;
}

/* ---- names, compared without regard to case -------------------------------------------------------------
 */

typedef struct __attribute__((packed, may_alias)) {
  uint64_t bytes;
} Eight;
typedef struct __attribute__((packed, may_alias)) {
  uint32_t bytes;
} Four;

/* Up to eight characters of a lower-case literal as a little-endian number, and the same with 0x20 at
 * letters; the compiler turns both into constants. */
INLINE uint64_t pack(const char* text, uint32_t count) {
  uint64_t packed = 0;
  for (uint32_t i = 0; i < count; i++) packed |= (uint64_t)(uint8_t)text[i] << (8 * i);
  return packed;
}
INLINE uint64_t pack_case(const char* text, uint32_t count) {
  uint64_t packed = 0;
  for (uint32_t i = 0; i < count; i++)
    packed |= (uint64_t)(text[i] >= 'a' && text[i] <= 'z' ? 0x20 : 0) << (8 * i);
  return packed;
}
INLINE bool same_8(const uint8_t* at, const char* text) {
  return (((const Eight*)at)->bytes & ~pack_case(text, 8)) == (pack(text, 8) & ~pack_case(text, 8));
}
INLINE bool same_4(const uint8_t* at, const char* text) {
  return (((const Four*)at)->bytes & ~(uint32_t)pack_case(text, 4)) ==
         (uint32_t)(pack(text, 4) & ~pack_case(text, 4));
}
INLINE bool same_1(uint8_t c, char lower) {
  return (c | (lower >= 'a' && lower <= 'z' ? 0x20 : 0)) == (uint8_t)lower;
}

/* Whether the `length` bytes at `at` are the literal `text` (lower case, not longer than 24).  Loads overlap.
 */
INLINE bool same(const uint8_t* at, const char* text, uint32_t length) {
  if (length >= 8) {
    return same_8(at, text) && same_8(at + length - 8, text + length - 8) &&
           (length <= 16 || same_8(at + 8, text + 8));
  }
  if (length >= 4) return same_4(at, text) && same_4(at + length - 4, text + length - 4);
  for (uint32_t i = 0; i < length; i++) {
    if (!same_1(at[i], text[i])) return false;
  }
  return true;
}
#define SAME(at, literal) same(at, literal, sizeof(literal) - 1)
/* Whether the name [at, end) of message `m` is the literal. */
#define NAMED(m, at, end, literal) ((end) - (at) == sizeof(literal) - 1 && SAME((m) + (at), literal))

/* Six bits for each of ten letters: a table that is a number, so that the module needs no data in memory. */
#define COMPACT(letter, header) ((uint64_t)(header) << (6 * ((letter) - 'a') % 60))

/* enum sip_header of a compact form. */
INLINE uint32_t compact_header(uint8_t name) {
  _Static_assert(SIP_HDR_COUNT <= 64, "an id has six bits");
  const uint64_t a_to_j = COMPACT('b', SIP_HDR_REFERRED_BY) | COMPACT('c', SIP_HDR_CONTENT_TYPE) |
                          COMPACT('e', SIP_HDR_CONTENT_ENCODING) | COMPACT('f', SIP_HDR_FROM) |
                          COMPACT('i', SIP_HDR_CALL_ID);
  const uint64_t k_to_t = COMPACT('k', SIP_HDR_SUPPORTED) | COMPACT('l', SIP_HDR_CONTENT_LENGTH) |
                          COMPACT('m', SIP_HDR_CONTACT) | COMPACT('o', SIP_HDR_EVENT) |
                          COMPACT('r', SIP_HDR_REFER_TO) | COMPACT('s', SIP_HDR_SUBJECT) |
                          COMPACT('t', SIP_HDR_TO);
  const uint64_t u_to_z = COMPACT('v', SIP_HDR_VIA) | COMPACT('x', SIP_HDR_SESSION_EXPIRES);
  const uint32_t letter = (uint32_t)(name | 0x20) - 'a';
  const uint64_t row = letter < 10 ? a_to_j : letter < 20 ? k_to_t : letter < 26 ? u_to_z : 0;
  return row >> (6 * (letter % 10)) & 63;
}

/* enum sip_header of a name; any name that is not known is SIP_HDR_OTHER. */
static uint32_t header_id(const uint8_t* name, uint32_t length) {
  switch (length) {
    case 1:
      return compact_header(*name);
    case 2:
      return SAME(name, "to") ? SIP_HDR_TO : SIP_HDR_OTHER;
    case 3:
      return SAME(name, "via") ? SIP_HDR_VIA : SIP_HDR_OTHER;
    case 4:
      if (SAME(name, "from")) return SIP_HDR_FROM;
      if (SAME(name, "cseq")) return SIP_HDR_CSEQ;
      if (SAME(name, "date")) return SIP_HDR_DATE;
      if (SAME(name, "path")) return SIP_HDR_PATH;
      if (SAME(name, "rack")) return SIP_HDR_RACK;
      if (SAME(name, "rseq")) return SIP_HDR_RSEQ;
      break;
    case 5:
      if (SAME(name, "route")) return SIP_HDR_ROUTE;
      if (SAME(name, "allow")) return SIP_HDR_ALLOW;
      if (SAME(name, "event")) return SIP_HDR_EVENT;
      break;
    case 6:
      if (SAME(name, "server")) return SIP_HDR_SERVER;
      if (SAME(name, "reason")) return SIP_HDR_REASON;
      if (SAME(name, "min-se")) return SIP_HDR_MIN_SE;
      break;
    case 7:
      if (SAME(name, "call-id")) return SIP_HDR_CALL_ID;
      if (SAME(name, "contact")) return SIP_HDR_CONTACT;
      if (SAME(name, "require")) return SIP_HDR_REQUIRE;
      if (SAME(name, "expires")) return SIP_HDR_EXPIRES;
      if (SAME(name, "subject")) return SIP_HDR_SUBJECT;
      if (SAME(name, "warning")) return SIP_HDR_WARNING;
      break;
    case 8:
      if (SAME(name, "refer-to")) return SIP_HDR_REFER_TO;
      if (SAME(name, "replaces")) return SIP_HDR_REPLACES;
      break;
    case 9:
      if (SAME(name, "supported")) return SIP_HDR_SUPPORTED;
      if (SAME(name, "timestamp")) return SIP_HDR_TIMESTAMP;
      break;
    case 10:
      return SAME(name, "user-agent") ? SIP_HDR_USER_AGENT : SIP_HDR_OTHER;
    case 11:
      if (SAME(name, "max-breadth")) return SIP_HDR_MAX_BREADTH;
      if (SAME(name, "unsupported")) return SIP_HDR_UNSUPPORTED;
      if (SAME(name, "retry-after")) return SIP_HDR_RETRY_AFTER;
      if (SAME(name, "referred-by")) return SIP_HDR_REFERRED_BY;
      break;
    case 12:
      if (SAME(name, "max-forwards")) return SIP_HDR_MAX_FORWARDS;
      if (SAME(name, "record-route")) return SIP_HDR_RECORD_ROUTE;
      if (SAME(name, "content-type")) return SIP_HDR_CONTENT_TYPE;
      break;
    case 13:
      if (SAME(name, "proxy-require")) return SIP_HDR_PROXY_REQUIRE;
      if (SAME(name, "authorization")) return SIP_HDR_AUTHORIZATION;
      if (SAME(name, "service-route")) return SIP_HDR_SERVICE_ROUTE;
      break;
    case 14:
      return SAME(name, "content-length") ? SIP_HDR_CONTENT_LENGTH : SIP_HDR_OTHER;
    case 15:
      return SAME(name, "session-expires") ? SIP_HDR_SESSION_EXPIRES : SIP_HDR_OTHER;
    case 16:
      if (SAME(name, "www-authenticate")) return SIP_HDR_WWW_AUTHENTICATE;
      if (SAME(name, "content-encoding")) return SIP_HDR_CONTENT_ENCODING;
      break;
    case 18:
      if (SAME(name, "proxy-authenticate")) return SIP_HDR_PROXY_AUTHENTICATE;
      if (SAME(name, "subscription-state")) return SIP_HDR_SUBSCRIPTION_STATE;
      break;
    case 19:
      if (SAME(name, "proxy-authorization")) return SIP_HDR_PROXY_AUTHORIZATION;
      if (SAME(name, "p-asserted-identity")) return SIP_HDR_P_ASSERTED_IDENTITY;
      break;
  }
  return SIP_HDR_OTHER;
}

/* Methods are compared exactly [RFC 3261 7.1]: the literals are upper case, so pack_case() is 0. */
static uint32_t method_id(const uint8_t* name, uint32_t length) {
  switch (length) {
    case 3:
      if (SAME(name, "ACK")) return SIP_ACK;
      if (SAME(name, "BYE")) return SIP_BYE;
      break;
    case 4:
      return SAME(name, "INFO") ? SIP_INFO : SIP_UNKNOWN;
    case 5:
      if (SAME(name, "PRACK")) return SIP_PRACK;
      if (SAME(name, "REFER")) return SIP_REFER;
      break;
    case 6:
      if (SAME(name, "INVITE")) return SIP_INVITE;
      if (SAME(name, "CANCEL")) return SIP_CANCEL;
      if (SAME(name, "UPDATE")) return SIP_UPDATE;
      if (SAME(name, "NOTIFY")) return SIP_NOTIFY;
      break;
    case 7:
      if (SAME(name, "OPTIONS")) return SIP_OPTIONS;
      if (SAME(name, "MESSAGE")) return SIP_MESSAGE;
      if (SAME(name, "PUBLISH")) return SIP_PUBLISH;
      break;
    case 8:
      return SAME(name, "REGISTER") ? SIP_REGISTER : SIP_UNKNOWN;
    case 9:
      return SAME(name, "SUBSCRIBE") ? SIP_SUBSCRIBE : SIP_UNKNOWN;
  }
  return SIP_UNKNOWN;
}

/* ---- start line [RFC 3261 7.1, 7.2] ---------------------------------------------------------------------
 */

/* "SIP/" and two numbers with a point between: a version, if perhaps not ours. */
static bool is_version(const uint8_t* m, uint32_t at, uint32_t end) {
  if (end - at < 4 || !SAME(m + at, "sip/")) return false;
  const uint32_t point = skip_digits(m, at + 4, end);
  if (point == at + 4 || point == end || m[point] != '.') return false;
  return point + 1 < end && skip_digits(m, point + 1, end) == end;
}

static void read_status_line(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words) {
  words[SIP_W_KIND] = 2;
  if (end - at < 8 || !SAME(m + at, "sip/2.0") || m[at + 7] != ' ') {
    fault(words, SIP_BAD_START_LINE, at);
    return;
  }
  const uint32_t code_at = at + 8;
  const uint32_t code_end = skip_digits(m, code_at, end);
  const uint32_t code = read_number(m, code_at, code_end, STATUS_CODE_MAX);
  if (code == SIP_NONE || code < STATUS_CODE_MIN || code_end - code_at != 3 ||
      (code_end < end && m[code_end] != ' ')) {
    fault(words, SIP_BAD_STATUS_CODE, code_at);
    return;
  }
  words[SIP_W_CODE] = code;
  if (code_end < end) put_span(words + SIP_W_REASON_OFF, code_end + 1, end);
}

/* What is wrong with a request line that is not <method> SP <URI> SP "SIP/2.0". */
static void judge_request_line(const uint8_t* m, uint32_t uri, uint32_t end, uint32_t* words) {
  uint32_t uri_end = end;
  while (uri_end > uri && m[uri_end - 1] != ' ') uri_end--;
  if (uri_end == uri) {
    fault(words, SIP_BAD_START_LINE, end);
    return;
  }
  const uint32_t version = uri_end--;
  put_span(words + SIP_W_RURI_OFF, uri, uri_end);
  if (!is_version(m, version, end)) {
    fault(words, SIP_BAD_START_LINE, version);
  } else if (end - version != 7 || !SAME(m + version, "sip/2.0")) {
    fault(words, SIP_BAD_VERSION, version);
  } else {
    fault(words, SIP_BAD_REQUEST_URI, find_not_uri(m, uri, uri_end));
  }
}

static void read_request_line(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words) {
  const uint32_t method_end = skip_token(m, at, end);
  if (method_end == at || method_end == end || m[method_end] != ' ') {
    fault(words, SIP_BAD_START_LINE, method_end);
    return;
  }
  words[SIP_W_KIND] = 1;
  words[SIP_W_METHOD] = method_id(m + at, method_end - at);
  put_span(words + SIP_W_METHOD_OFF, at, method_end);
  const uint32_t uri = method_end + 1;
  const uint32_t uri_end = find_not_uri(m, uri, end);
  if (uri_end > uri && end - uri_end == 8 && m[uri_end] == ' ' && SAME(m + uri_end + 1, "sip/2.0")) {
    put_span(words + SIP_W_RURI_OFF, uri, uri_end);
  } else {
    judge_request_line(m, uri, end, words);
  }
}

/* `end` is before the line end. */
INLINE void read_start_line(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words) {
  if (end - at >= 4 && SAME(m + at, "sip/")) {
    read_status_line(m, at, end, words);
  } else {
    read_request_line(m, at, end, words);
  }
}

/* ---- items: the values of Via, Contact, Route and Record-Route -------------------------------------------
 */

INLINE uint32_t* item_at(uint32_t* words, uint32_t index) {
  return words + SIP_ITEMS_AT + index * SIP_ITEM_WORDS;
}

/* Adds a value to the table and to the chain of its header name.  False: no room, the message is refused. */
static bool add_item(uint32_t* words, uint32_t id, uint32_t at, uint32_t end, uint32_t uri,
                     uint32_t uri_end) {
  const uint32_t index = words[SIP_W_ITEM_COUNT];
  if (index == SIP_ITEMS_MAX) {
    fault(words, SIP_TOO_MANY_ITEMS, at);
    return false;
  }
  for (uint32_t before = index; before-- > 0;) {
    uint32_t* earlier = item_at(words, before);
    if (earlier[SIP_I_ID_HEADER] >> 16 == id) {
      earlier[SIP_I_NEXT] = index;
      break;
    }
  }
  uint32_t* item = item_at(words, index);
  item[SIP_I_ID_HEADER] = id << 16 | words[SIP_W_HEADER_COUNT];
  put_span(item + SIP_I_OFF, at, end);
  put_span(item + SIP_I_URI_OFF, uri, uri_end);
  item[SIP_I_NEXT] = 0;
  words[SIP_W_ITEM_COUNT] = index + 1;
  return true;
}

/* ---- parameters [RFC 3261 25.1: generic-param] ------------------------------------------------------------
 */

typedef struct {
  uint32_t name, name_end;
  uint32_t value, value_end; /* equal if there is no value */
  uint32_t next;             /* the byte after it and after white space; SIP_NONE if it is malformed */
  uint32_t fault_at;
} Parameter;

/* Reads what follows a ';'.  A name is a token; a value is a quoted string, or runs to white space, ';' or
 * ','. */
INLINE Parameter read_parameter(const uint8_t* m, uint32_t at, uint32_t end) {
  Parameter p = {0};
  p.next = SIP_NONE;
  p.name = skip_space(m, at, end);
  p.name_end = find_name_end(m, p.name, end);
  p.fault_at = skip_token(m, p.name, p.name_end);
  if (p.fault_at != p.name_end || p.name == p.name_end) return p;
  at = skip_space(m, p.name_end, end);
  p.value = p.value_end = at;
  if (at < end && m[at] == '=') {
    p.value = skip_space(m, at + 1, end);
    p.fault_at = p.value;
    p.value_end =
        p.value < end && m[p.value] == '"' ? skip_quoted(m, p.value, end) : find_value_end(m, p.value, end);
    if (p.value_end == SIP_NONE) return p;
    at = skip_space(m, p.value_end, end);
  }
  p.next = at;
  return p;
}

/* ---- hosts ------------------------------------------------------------------------------------------------
 */

/* After the host name, address or IPv6 reference at `at`; `at` itself if there is none. */
INLINE uint32_t skip_host(const uint8_t* m, uint32_t at, uint32_t end) {
  uint32_t stop = at;
  if (at < end && m[at] == '[') {
    stop++;
    while (stop < end && is_in_reference(m[stop])) stop++;
    return stop > at + 1 && stop < end && m[stop] == ']' ? stop + 1 : at;
  }
  while (stop < end && is_host(m[stop])) stop++;
  return stop;
}

/* ---- Via [RFC 3261 20.42, RFC 3581, RFC 5118 4.5]
 * ---------------------------------------------------------- */

INLINE void note_top_via_parameter(const uint8_t* m, const Parameter* p, uint32_t* words) {
  if (NAMED(m, p->name, p->name_end, "rport") && !words[SIP_W_VIA_RPORT_OFF]) {
    const uint32_t port = read_number(m, p->value, p->value_end, PORT_MAX);
    words[SIP_W_VIA_RPORT_OFF] = p->name_end;
    words[SIP_W_VIA_RPORT] = port == SIP_NONE ? 0 : port;
  } else if (NAMED(m, p->name, p->name_end, "received") && !words[SIP_W_VIA_RECEIVED_LEN]) {
    put_span(words + SIP_W_VIA_RECEIVED_OFF, p->value, p->value_end);
  } else if (NAMED(m, p->name, p->name_end, "maddr") && !words[SIP_W_VIA_MADDR_LEN]) {
    put_span(words + SIP_W_VIA_MADDR_OFF, p->value, p->value_end);
  } else if (NAMED(m, p->name, p->name_end, "ttl") && words[SIP_W_VIA_TTL] == SIP_NONE) {
    words[SIP_W_VIA_TTL] = read_number(m, p->value, p->value_end, OCTET_MAX);
  }
}

/* Reads sent-protocol and white space: three tokens with '/' between.  Returns where sent-by begins, or
 * SIP_NONE with the place of the fault in *fault_at. */
INLINE uint32_t read_sent_protocol(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* transport,
                                   uint32_t* fault_at) {
  uint32_t stop;
  if (end - at >= 8 && SAME(m + at, "sip/2.0/")) {
    transport[0] = at + 8;
  } else {
    for (uint32_t part = 0; part < 2; part++) {
      stop = skip_token(m, at, end);
      *fault_at = stop;
      if (stop == at) return SIP_NONE;
      stop = skip_space(m, stop, end);
      *fault_at = stop;
      if (stop == end || m[stop] != '/') return SIP_NONE;
      at = skip_space(m, stop + 1, end);
    }
    transport[0] = at;
  }
  /* After "SIP/2.0/" white space may still come. */
  transport[0] = skip_space(m, transport[0], end);
  transport[1] = skip_token(m, transport[0], end);
  stop = skip_space(m, transport[1], end);
  *fault_at = transport[1];
  if (transport[1] == transport[0] || stop == transport[1]) return SIP_NONE;
  return stop;
}

/* Reads one value; of the topmost (`top`) the words too.  Returns the ',' or the end, or SIP_NONE. */
INLINE uint32_t read_via(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words, bool top,
                         uint32_t* branch) {
  uint32_t transport[2], fault_at;
  uint32_t host = read_sent_protocol(m, at, end, transport, &fault_at);
  if (host == SIP_NONE) goto malformed;
  uint32_t sent_by_end = skip_host(m, host, end);
  fault_at = host;
  if (sent_by_end == host) goto malformed;
  if (top) {
    put_span(words + SIP_W_VIA_TRANSPORT_OFF, transport[0], transport[1]);
    put_span(words + SIP_W_VIA_HOST_OFF, host, sent_by_end);
    words[SIP_W_VIA_SENT_BY_END] = sent_by_end;
  }
  at = skip_space(m, sent_by_end, end);
  if (at < end && m[at] == ':') {
    const uint32_t port_at = skip_space(m, at + 1, end);
    sent_by_end = skip_digits(m, port_at, end);
    const uint32_t port = read_number(m, port_at, sent_by_end, PORT_MAX);
    fault_at = port_at;
    if (port == SIP_NONE || port == 0) goto malformed;
    if (top) {
      words[SIP_W_VIA_PORT] = port;
      words[SIP_W_VIA_SENT_BY_END] = sent_by_end;
    }
    at = skip_space(m, sent_by_end, end);
  }
  while (at < end && m[at] == ';') {
    const Parameter p = read_parameter(m, at + 1, end);
    fault_at = p.fault_at;
    if (p.next == SIP_NONE) goto malformed;
    if (NAMED(m, p.name, p.name_end, "branch")) {
      fault_at = p.name;
      if (branch[1]) goto malformed;
      branch[0] = p.value;
      branch[1] = p.value_end;
      if (top) put_span(words + SIP_W_VIA_BRANCH_OFF, p.value, p.value_end);
    } else if (top) {
      note_top_via_parameter(m, &p, words);
    }
    at = p.next;
  }
  fault_at = at;
  if (at == end || m[at] == ',') return at;
malformed:
  fault(words, SIP_BAD_VIA, fault_at);
  return SIP_NONE;
}

static bool read_via_line(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words, uint32_t line,
                          uint32_t next_line) {
  bool top = words[SIP_W_VIA_LINE_END] == 0;
  if (top) {
    words[SIP_W_VIA_LINE_OFF] = line;
    words[SIP_W_VIA_LINE_END] = next_line;
    put_span(words + SIP_W_VIA_OFF, at, end);
  }
  for (;;) {
    uint32_t branch[2] = {0, 0};
    const uint32_t stop = read_via(m, at, end, words, top, branch);
    if (stop == SIP_NONE) return true;
    const uint32_t value_end = trim_space(m, at, stop);
    if (!add_item(words, SIP_HDR_VIA, at, value_end, branch[0], branch[1])) return false;
    words[SIP_W_VIA_COUNT]++;
    if (top) put_span(words + SIP_W_VIA_OFF, at, value_end);
    if (stop == end) return true;
    at = skip_space(m, stop + 1, end);
    if (top) words[SIP_W_VIA_NEXT_OFF] = at;
    top = false;
  }
}

/* ---- From and To [RFC 3261 20.10, 20.20, 20.39]
 * ------------------------------------------------------------ */

/* Words of From and of To, from its first. */
enum { ADDRESS_OFF = 0, ADDRESS_URI = 2, ADDRESS_TAG = 4 };

/* A display name without quotes: tokens and white space; bytes of UTF-8 are let through. */
INLINE uint32_t skip_display_name(const uint8_t* m, uint32_t at, uint32_t end) {
  while (at < end && (is_token(m[at]) || is_space(m[at]) || m[at] >= 0x80)) at++;
  return at;
}

/* Reads name-addr or addr-spec.  Returns the byte after it and after white space; SIP_NONE, with the place of
 * the fault in *fault_at, if it is neither. */
INLINE uint32_t read_address(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* uri, uint32_t* fault_at) {
  uint32_t mark;
  *fault_at = at;
  if (at < end && m[at] == '"') {
    mark = skip_quoted(m, at, end);
    if (mark == SIP_NONE) return SIP_NONE;
    mark = skip_space(m, mark, end);
    *fault_at = mark;
    if (mark == end || m[mark] != '<') return SIP_NONE;
  } else {
    mark = find_address_mark(m, at, end);
    if (mark < end && m[mark] != ';' && m[mark] != '<') {
      *fault_at = mark;
      return SIP_NONE;
    }
  }
  if (mark < end && m[mark] == '<') {
    if (m[at] != '"') {
      *fault_at = skip_display_name(m, at, mark);
      if (*fault_at != mark) return SIP_NONE;
    }
    const uint32_t close = find_not_uri(m, mark + 1, end);
    *fault_at = close;
    if (close == end || m[close] != '>' || close == mark + 1) return SIP_NONE;
    put_span(uri, mark + 1, close);
    return skip_space(m, close + 1, end);
  }
  const uint32_t stop = trim_space(m, at, mark);
  *fault_at = find_not_uri(m, at, stop);
  if (*fault_at != stop || at == stop) return SIP_NONE;
  put_span(uri, at, stop);
  return mark;
}

static void read_from_or_to(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words, uint32_t first_word,
                            uint32_t code) {
  uint32_t* address = words + first_word;
  uint32_t fault_at;
  put_span(address + ADDRESS_OFF, at, end);
  at = read_address(m, at, end, address + ADDRESS_URI, &fault_at);
  if (at == SIP_NONE) goto malformed;
  while (at < end && m[at] == ';') {
    const Parameter p = read_parameter(m, at + 1, end);
    fault_at = p.fault_at;
    if (p.next == SIP_NONE) goto malformed;
    if (NAMED(m, p.name, p.name_end, "tag")) {
      fault_at = p.name;
      if (address[ADDRESS_TAG + 1] || p.value == p.value_end) goto malformed;
      put_span(address + ADDRESS_TAG, p.value, p.value_end);
    }
    at = p.next;
  }
  fault_at = at;
  if (at == end) return;
malformed:
  fault(words, code, fault_at);
}

/* ---- Contact, Route, Record-Route [RFC 3261 20.10, 20.30, 20.34]
 * -------------------------------------------- */

/* Reads one value of a list as far as needed to split it.  Returns the ',' or the end; SIP_NONE if a quote or
 * an angle bracket has no end. */
INLINE uint32_t read_list_value(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* uri,
                                uint32_t* fault_at) {
  uint32_t mark = find_address_mark(m, at, end);
  while (mark < end && m[mark] == '"') {
    *fault_at = mark;
    mark = skip_quoted(m, mark, end);
    if (mark == SIP_NONE) return SIP_NONE;
    mark = find_address_mark(m, mark, end);
  }
  if (mark < end && m[mark] == '<') {
    const uint32_t close = find_right_angle(m, mark, end);
    *fault_at = mark;
    if (close == end) return SIP_NONE;
    uri[0] = skip_space(m, mark + 1, close);
    uri[1] = trim_space(m, uri[0], close);
    mark = close + 1;
  } else {
    uri[0] = at;
    uri[1] = trim_space(m, at, mark);
  }
  mark = find_comma_or_quote(m, mark, end);
  while (mark < end && m[mark] == '"') {
    *fault_at = mark;
    mark = skip_quoted(m, mark, end);
    if (mark == SIP_NONE) return SIP_NONE;
    mark = find_comma_or_quote(m, mark, end);
  }
  return mark;
}

static void note_contact(const uint8_t* m, uint32_t at, uint32_t value_end, uint32_t* uri, uint32_t* words) {
  if (uri[1] - uri[0] == 1 && m[uri[0]] == '*' && uri[0] == at) {
    words[SIP_W_CONTACT_STAR] = 1;
    uri[1] = uri[0];
  }
  if (words[SIP_W_CONTACT_COUNT]++ == 0) {
    put_span(words + SIP_W_CONTACT_OFF, at, value_end);
    put_span(words + SIP_W_CONTACT_URI_OFF, uri[0], uri[1]);
  }
}

static void note_route(uint32_t* words, uint32_t count_word, uint32_t item_word) {
  if (words[count_word]++ == 0) words[item_word] = words[SIP_W_ITEM_COUNT];
}

/* Splits a list of addresses; empty values between commas are passed over. */
static bool read_list(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words, uint32_t id,
                      uint32_t code) {
  for (; at < end; at++) {
    at = skip_space(m, at, end);
    uint32_t uri[2], fault_at = at;
    const uint32_t stop = read_list_value(m, at, end, uri, &fault_at);
    if (stop == SIP_NONE) {
      fault(words, code, fault_at);
      return true;
    }
    const uint32_t value_end = trim_space(m, at, stop);
    if (value_end > at) {
      if (words[SIP_W_ITEM_COUNT] < SIP_ITEMS_MAX) {
        if (id == SIP_HDR_CONTACT) {
          note_contact(m, at, value_end, uri, words);
        } else if (id == SIP_HDR_ROUTE) {
          note_route(words, SIP_W_ROUTE_COUNT, SIP_W_ROUTE_ITEM);
        } else {
          note_route(words, SIP_W_RECORD_ROUTE_COUNT, SIP_W_RECORD_ROUTE_ITEM);
        }
      }
      if (!add_item(words, id, at, value_end, uri[0], uri[1])) return false;
    }
    at = stop;
  }
  return true;
}

/* ---- the other values
 * ---------------------------------------------------------------------------------------- */

static void read_call_id(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words) {
  put_span(words + SIP_W_CALL_ID_OFF, at, end);
  const uint32_t gap = find_gap(m, at, end);
  if (gap != end || at == end) fault(words, SIP_BAD_CALL_ID, gap);
}

static void read_cseq(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words) {
  const uint32_t digits_end = skip_digits(m, at, end);
  const uint32_t method = skip_space(m, digits_end, end);
  put_span(words + SIP_W_CSEQ_OFF, at, digits_end);
  words[SIP_W_CSEQ_NUMBER] = read_number(m, at, digits_end, NUMBER_MAX);
  if (digits_end == at || method == digits_end) {
    fault(words, SIP_BAD_CSEQ, digits_end);
    return;
  }
  const uint32_t method_end = skip_token(m, method, end);
  put_span(words + SIP_W_CSEQ_METHOD_OFF, method, method_end);
  words[SIP_W_CSEQ_METHOD] = method_id(m + method, method_end - method);
  if (words[SIP_W_CSEQ_NUMBER] == SIP_NONE) fault(words, SIP_BAD_CSEQ, at);
  if (method_end != end || method_end == method) fault(words, SIP_BAD_CSEQ, method_end);
}

/* A header whose value is one number; `word` is its value, followed by offset and length. */
static void read_number_header(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words, uint32_t word,
                               uint32_t max, uint32_t code) {
  words[word] = read_number(m, at, end, max);
  put_span(words + word + 1, at, end);
  if (words[word] == SIP_NONE) fault(words, code, at);
}

static void read_content_length(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words) {
  words[SIP_W_CONTENT_LENGTH] = read_number(m, at, end, NUMBER_MAX);
  if (words[SIP_W_CONTENT_LENGTH] == SIP_NONE) fault(words, SIP_BAD_CONTENT_LENGTH, at);
}

/* ---- header lines [RFC 3261 7.3]
 * ------------------------------------------------------------------------------ */

#define UNIQUE_HEADERS                                                                          \
  (1ull << SIP_HDR_FROM | 1ull << SIP_HDR_TO | 1ull << SIP_HDR_CALL_ID | 1ull << SIP_HDR_CSEQ | \
   1ull << SIP_HDR_MAX_FORWARDS | 1ull << SIP_HDR_CONTENT_LENGTH | 1ull << SIP_HDR_MAX_BREADTH)

INLINE uint32_t* header_at(uint32_t* words, uint32_t index) {
  return words + SIP_HEADERS_AT + index * SIP_HEADER_WORDS;
}

/* Whether the first header field `id` has just this value. */
static bool is_first_value(const uint8_t* m, uint32_t id, uint32_t at, uint32_t end, uint32_t* words) {
  const uint32_t* header = header_at(words, 0);
  while (header[SIP_H_ID_NAME_LEN] >> 16 != id) header += SIP_HEADER_WORDS;
  if (header[SIP_H_VALUE_LEN] != end - at) return false;
  const uint8_t* first = m + header[SIP_H_VALUE_OFF];
  for (uint32_t i = 0; i < end - at; i++) {
    if (first[i] != m[at + i]) return false;
  }
  return true;
}

/* Marks the header field as present; true if it already was. */
INLINE bool mark_present(uint32_t* words, uint32_t id) {
  uint32_t* present = words + SIP_W_PRESENT_LO + (id >> 5);
  const uint32_t bit = 1u << (id & 31);
  const bool already = *present & bit;
  *present |= bit;
  return already;
}

/* Reads the value of one header field.  False: the message is refused at once. */
INLINE bool read_value(const uint8_t* m, uint32_t id, uint32_t at, uint32_t end, uint32_t* words,
                       uint32_t line, uint32_t next_line) {
  switch (id) {
    case SIP_HDR_VIA:
      return read_via_line(m, at, end, words, line, next_line);
    case SIP_HDR_FROM:
      read_from_or_to(m, at, end, words, SIP_W_FROM_OFF, SIP_BAD_FROM);
      break;
    case SIP_HDR_TO:
      read_from_or_to(m, at, end, words, SIP_W_TO_OFF, SIP_BAD_TO);
      break;
    case SIP_HDR_CALL_ID:
      read_call_id(m, at, end, words);
      break;
    case SIP_HDR_CSEQ:
      read_cseq(m, at, end, words);
      break;
    case SIP_HDR_MAX_FORWARDS:
      read_number_header(m, at, end, words, SIP_W_MAX_FORWARDS, OCTET_MAX, SIP_BAD_MAX_FORWARDS);
      break;
    case SIP_HDR_MAX_BREADTH:
      read_number_header(m, at, end, words, SIP_W_MAX_BREADTH, NUMBER_MAX, SIP_BAD_MAX_BREADTH);
      break;
    case SIP_HDR_CONTENT_LENGTH:
      read_content_length(m, at, end, words);
      break;
    case SIP_HDR_CONTACT:
      return read_list(m, at, end, words, id, SIP_BAD_CONTACT);
    case SIP_HDR_ROUTE:
      return read_list(m, at, end, words, id, SIP_BAD_ROUTE);
    case SIP_HDR_RECORD_ROUTE:
      return read_list(m, at, end, words, id, SIP_BAD_RECORD_ROUTE);
  }
  return true;
}

/* Writes the row of a header field with the value [at, end). */
INLINE void put_header(uint32_t* words, uint32_t id, uint32_t name_length, uint32_t line, uint32_t at,
                       uint32_t end) {
  uint32_t* header = header_at(words, words[SIP_W_HEADER_COUNT]);
  header[SIP_H_ID_NAME_LEN] = id << 16 | name_length;
  header[SIP_H_LINE_OFF] = line;
  header[SIP_H_VALUE_OFF] = at;
  header[SIP_H_VALUE_LEN] = end - at;
}

/* Reads the header field [line, line_end), folds inside.  False: the message is refused at once. */
INLINE bool read_header(const uint8_t* m, uint32_t line, uint32_t line_end, uint32_t* words) {
  const uint32_t colon = find_colon(m, line, line_end);
  uint32_t name_end = colon;
  while (name_end > line && is_blank(m[name_end - 1])) name_end--;
  const uint32_t id = header_id(m + line, name_end - line);
  const bool malformed = colon == line_end || name_end == line || name_end - line > 0xffff ||
                         (id == SIP_HDR_OTHER && skip_token(m, line, name_end) != name_end);
  if (malformed) {
    fault(words, SIP_BAD_HEADER_LINE, line);
    mark_present(words, SIP_HDR_OTHER);
    put_header(words, SIP_HDR_OTHER, 0, line, line, trim_space(m, line, line_end));
    words[SIP_W_HEADER_COUNT]++;
    return true;
  }
  uint32_t at = skip_space(m, colon + 1, line_end);
  uint32_t end = trim_space(m, at, line_end);
  if (at == end) at = end = colon + 1;
  put_header(words, id, name_end - line, line, at, end);
  bool go_on = true;
  if (!mark_present(words, id) || !(UNIQUE_HEADERS >> id & 1)) {
    go_on = read_value(m, id, at, end, words, line, line_end + 1);
  } else if (!is_first_value(m, id, at, end, words)) {
    fault(words, SIP_REPEATED_HEADER, line);
  }
  words[SIP_W_HEADER_COUNT]++;
  return go_on;
}

/* The line feed that ends the header field at `line`, after all its folds; `length` if there is none. */
INLINE uint32_t find_line_end(const uint8_t* m, uint32_t line, uint32_t length) {
  uint32_t end = find_line_feed(m, line, length);
  while (end + 1 < length && is_blank(m[end + 1])) end = find_line_feed(m, end + 1, length);
  return end;
}

/* How many bytes the empty line at `at` has; 0 if this is no empty line. */
INLINE uint32_t empty_line(const uint8_t* m, uint32_t at, uint32_t length) {
  if (m[at] == '\n') return 1;
  return m[at] == '\r' && at + 1 < length && m[at + 1] == '\n' ? 2 : 0;
}

/* Reads all header fields from `at`.  Returns the offset of the body, or SIP_NONE if the header has no end.
 */
INLINE uint32_t read_headers(const uint8_t* m, uint32_t at, uint32_t length, uint32_t* words) {
  while (at < length) {
    const uint32_t empty = empty_line(m, at, length);
    if (empty) {
      words[SIP_W_HEADERS_END] = at;
      return at + empty;
    }
    const uint32_t line_end = find_line_end(m, at, length);
    if (line_end >= length) break;
    if (words[SIP_W_HEADER_COUNT] == SIP_HEADERS_MAX) {
      fault(words, SIP_TOO_MANY_HEADERS, at);
      return SIP_NONE;
    }
    if (!read_header(m, at, line_end, words)) return SIP_NONE;
    at = line_end + 1;
  }
  fault(words, SIP_NO_END_OF_HEADER, length);
  return SIP_NONE;
}

/* ---- the whole message
 * ------------------------------------------------------------------------------------------ */

#define NEEDED_HEADERS \
  (1u << SIP_HDR_VIA | 1u << SIP_HDR_FROM | 1u << SIP_HDR_TO | 1u << SIP_HDR_CALL_ID | 1u << SIP_HDR_CSEQ)

/* SIP_MISSING_* follow each other in the order of their headers' ids. */
INLINE void check_needed_headers(uint32_t* words) {
  const uint32_t missing = NEEDED_HEADERS & ~words[SIP_W_PRESENT_LO];
  if (!missing) return;
  const uint32_t id = (uint32_t)__builtin_ctz(missing);
  fault(words, SIP_MISSING_VIA + (id - SIP_HDR_VIA), words[SIP_W_HEADERS_END]);
}

/* A request's CSeq names its method; a response has its method from there. */
INLINE void check_cseq_method(const uint8_t* m, uint32_t* words) {
  if (words[SIP_W_KIND] == 2) {
    words[SIP_W_METHOD] = words[SIP_W_CSEQ_METHOD];
    return;
  }
  const uint32_t length = words[SIP_W_CSEQ_METHOD_LEN];
  if (length == 0 || words[SIP_W_METHOD_LEN] == 0) return;
  bool equal_method = words[SIP_W_METHOD] == words[SIP_W_CSEQ_METHOD] && words[SIP_W_METHOD_LEN] == length;
  if (equal_method && words[SIP_W_METHOD] == SIP_UNKNOWN) {
    const uint8_t *in_line = m + words[SIP_W_METHOD_OFF], *in_cseq = m + words[SIP_W_CSEQ_METHOD_OFF];
    for (uint32_t i = 0; i < length && equal_method; i++) equal_method = in_line[i] == in_cseq[i];
  }
  if (!equal_method) fault(words, SIP_CSEQ_METHOD_MISMATCH, words[SIP_W_CSEQ_METHOD_OFF]);
}

INLINE void note_body(uint32_t body, uint32_t length, uint32_t* words) {
  const uint32_t rest = length - body;
  const uint32_t stated = words[SIP_W_CONTENT_LENGTH];
  words[SIP_W_BODY_OFF] = body;
  words[SIP_W_REST_LEN] = rest;
  words[SIP_W_BODY_LEN] = stated < rest ? stated : rest;
  if (stated != SIP_NONE && stated > rest) fault(words, SIP_SHORT_BODY, body);
}

EXPORT("sip_parse") uint32_t sip_parse(const uint8_t* message, uint32_t length, uint32_t* words) {
  clear_words(words, SIP_W_FIXED_END);
  words[SIP_W_CONTENT_LENGTH] = SIP_NONE;
  words[SIP_W_MAX_FORWARDS] = SIP_NONE;
  words[SIP_W_MAX_BREADTH] = SIP_NONE;
  words[SIP_W_VIA_TTL] = SIP_NONE;
  words[SIP_W_CSEQ_NUMBER] = SIP_NONE;

  uint32_t start = 0;
  while (start < length && (message[start] == '\r' || message[start] == '\n')) start++;
  words[SIP_W_START_OFF] = start;
  const uint32_t line_end = find_line_feed(message, start, length);
  const uint32_t text_end = line_end > start && message[line_end - 1] == '\r' ? line_end - 1 : line_end;
  read_start_line(message, start, text_end, words);

  words[SIP_W_HEADERS_OFF] = line_end < length ? line_end + 1 : length;
  const uint32_t body = read_headers(message, words[SIP_W_HEADERS_OFF], length, words);
  check_needed_headers(words);
  check_cseq_method(message, words);
  if (body != SIP_NONE) note_body(body, length, words);
  return words[SIP_W_STATUS];
}

EXPORT("sip_answerable") uint32_t sip_answerable(const uint32_t* words) {
  return words[SIP_W_VIA_HOST_LEN] && words[SIP_W_FROM_LEN] && words[SIP_W_TO_LEN] &&
         words[SIP_W_CALL_ID_LEN] && words[SIP_W_CSEQ_LEN] && words[SIP_W_CSEQ_METHOD_LEN];
}

/* ---- URIs [RFC 3261 19.1, RFC 3966]
 * ------------------------------------------------------------------------------- */

enum { SCHEME_OTHER, SCHEME_SIP, SCHEME_SIPS, SCHEME_TEL };

static uint32_t scheme_id(const uint8_t* m, uint32_t at, uint32_t end) {
  if (NAMED(m, at, end, "sip")) return SCHEME_SIP;
  if (NAMED(m, at, end, "sips")) return SCHEME_SIPS;
  if (NAMED(m, at, end, "tel")) return SCHEME_TEL;
  return SCHEME_OTHER;
}

static uint32_t transport_id(const uint8_t* m, uint32_t at, uint32_t end) {
  if (NAMED(m, at, end, "udp")) return 1;
  if (NAMED(m, at, end, "tcp")) return 2;
  if (NAMED(m, at, end, "tls")) return 3;
  if (NAMED(m, at, end, "sctp")) return 4;
  if (NAMED(m, at, end, "ws")) return 5;
  if (NAMED(m, at, end, "wss")) return 6;
  return 7;
}

INLINE uint32_t find_byte(const uint8_t* m, uint32_t at, uint32_t end, uint8_t wanted) {
  while (at < end && m[at] != wanted) at++;
  return at;
}

static void note_uri_parameter(const uint8_t* m, uint32_t name, uint32_t name_end, uint32_t value,
                               uint32_t value_end, uint32_t* words) {
  if (NAMED(m, name, name_end, "lr")) {
    words[SIP_U_LR] = 1;
  } else if (NAMED(m, name, name_end, "r2")) {
    words[SIP_U_R2] = 1;
  } else if (NAMED(m, name, name_end, "transport") && words[SIP_U_TRANSPORT] == 0) {
    words[SIP_U_TRANSPORT] = transport_id(m, value, value_end);
  } else if (NAMED(m, name, name_end, "maddr") && words[SIP_U_MADDR_LEN] == 0) {
    put_span(words + SIP_U_MADDR_OFF, value, value_end);
  } else if (NAMED(m, name, name_end, "ftag") && words[SIP_U_FTAG_LEN] == 0) {
    put_span(words + SIP_U_FTAG_OFF, value, value_end);
  } else if (NAMED(m, name, name_end, "ttl") && words[SIP_U_TTL] == SIP_NONE) {
    words[SIP_U_TTL] = read_number(m, value, value_end, OCTET_MAX);
  }
}

/* `at` is at the first ';' or at `end`. */
static void read_uri_parameters(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words) {
  put_span(words + SIP_U_PARAMS_OFF, at, end);
  while (at < end) {
    const uint32_t name = at + 1;
    const uint32_t stop = find_byte(m, name, end, ';');
    const uint32_t name_end = find_byte(m, name, stop, '=');
    note_uri_parameter(m, name, name_end, name_end < stop ? name_end + 1 : stop, stop, words);
    at = stop;
  }
}

/* Reads [user [":" password] "@"] and returns where the host begins, or SIP_NONE: there is an '@', but no
 * user. */
static uint32_t read_userinfo(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words) {
  const uint32_t stop = find_at_sign(m, at, end);
  if (stop == end) return at;
  const uint32_t user_end = find_byte(m, at, stop, ':');
  if (user_end == at) return SIP_NONE;
  put_span(words + SIP_U_USER_OFF, at, user_end);
  if (user_end < stop) put_span(words + SIP_U_PASSWORD_OFF, user_end + 1, stop);
  return stop + 1;
}

/* Reads what follows "sip:" or "sips:".  True: we can route by it. */
static bool read_sip_uri(const uint8_t* m, uint32_t at, uint32_t end, uint32_t* words) {
  const uint32_t host = read_userinfo(m, at, end, words);
  if (host == SIP_NONE) return false;
  at = skip_host(m, host, end);
  put_span(words + SIP_U_HOST_OFF, host, at);
  if (at == host) return false;
  if (at < end && m[at] == ':') {
    const uint32_t port_end = skip_digits(m, at + 1, end);
    const uint32_t port = read_number(m, at + 1, port_end, PORT_MAX);
    if (port == SIP_NONE || port == 0) return false;
    words[SIP_U_PORT] = port;
    at = port_end;
  }
  if (at < end && m[at] != ';' && m[at] != '?') return false;
  const uint32_t headers = find_byte(m, at, end, '?');
  read_uri_parameters(m, at, headers, words);
  put_span(words + SIP_U_HEADERS_OFF, headers, end);
  return true;
}

EXPORT("sip_parse_uri")
uint32_t sip_parse_uri(const uint8_t* message, uint32_t offset, uint32_t length, uint32_t* words) {
  const uint32_t end = offset + length;
  clear_words(words, SIP_URI_WORDS);
  words[SIP_U_STATUS] = 1;
  words[SIP_U_TTL] = SIP_NONE;
  uint32_t colon = offset;
  while (colon < end && is_scheme(message[colon])) colon++;
  if (colon == offset || colon == end || message[colon] != ':' || !is_letter(message[offset])) return 1;
  words[SIP_U_SCHEME] = scheme_id(message, offset, colon);
  words[SIP_U_SCHEME_LEN] = colon - offset;
  if (find_not_uri(message, colon, end) != end) return 1;
  if (words[SIP_U_SCHEME] == SCHEME_SIP || words[SIP_U_SCHEME] == SCHEME_SIPS) {
    words[SIP_U_STATUS] = !read_sip_uri(message, colon + 1, end, words);
  } else if (words[SIP_U_SCHEME] == SCHEME_TEL) {
    const uint32_t number_end = find_byte(message, colon + 1, end, ';');
    put_span(words + SIP_U_USER_OFF, colon + 1, number_end);
    put_span(words + SIP_U_PARAMS_OFF, number_end, end);
  }
  return words[SIP_U_STATUS];
}

/* ---- one parameter
 * -------------------------------------------------------------------------------------------------- */

static bool is_name(const uint8_t* m, uint32_t at, uint32_t end, const uint8_t* name, uint32_t name_length) {
  if (end - at != name_length) return false;
  for (uint32_t i = 0; i < name_length; i++) {
    const uint8_t c = m[at + i];
    if ((is_letter(c) ? c | 0x20 : c) != name[i]) return false;
  }
  return true;
}

EXPORT("sip_find_parameter")
uint32_t sip_find_parameter(const uint8_t* message, uint32_t offset, uint32_t length, const uint8_t* name,
                            uint32_t name_length, uint32_t* words) {
  const uint32_t end = offset + length;
  uint32_t at = offset;
  words[0] = words[1] = 0;
  while ((at = find_semicolon_or_quote(message, at, end)) < end) {
    if (message[at] == '"') {
      at = skip_quoted(message, at, end);
      if (at == SIP_NONE) return 0;
      continue;
    }
    const Parameter p = read_parameter(message, at + 1, end);
    if (p.next == SIP_NONE) {
      at++;
      continue;
    }
    if (is_name(message, p.name, p.name_end, name, name_length)) {
      const bool quoted = p.value_end - p.value >= 2 && message[p.value] == '"';
      put_span(words, p.value + quoted, p.value_end - quoted);
      return 1;
    }
    at = p.next;
  }
  return 0;
}
