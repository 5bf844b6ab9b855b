/**
 * What the parser writes, word by word: generated from native/sip-parser/sip_parser.h, which says what each
 * means.  Change the header, then run `node scripts/generate-words.mjs`.
 */

/** A number that is not there. */
export const NONE = 0xffffffff;

/* Sizes. */
export const PADDING = 32;
export const FIXED_WORDS = 128;
export const HEADERS_MAX = 192;
export const HEADER_WORDS = 4;
export const ITEMS_MAX = 192;
export const ITEM_WORDS = 6;
export const HEADERS_AT = 128;
export const ITEMS_AT = 896;
export const WORDS = 2048;
export const URI_WORDS = 24;
export const PARSER_RESERVED_BYTES = 65536;

/* Fixed words. */
export const W_STATUS = 0;
export const W_FAULT_OFF = 1;
export const W_KIND = 2;
export const W_METHOD = 3;
export const W_CODE = 4;
export const W_METHOD_OFF = 5;
export const W_METHOD_LEN = 6;
export const W_RURI_OFF = 7;
export const W_RURI_LEN = 8;
export const W_REASON_OFF = 9;
export const W_REASON_LEN = 10;
export const W_START_OFF = 11;
export const W_HEADERS_OFF = 12;
export const W_HEADERS_END = 13;
export const W_BODY_OFF = 14;
export const W_BODY_LEN = 15;
export const W_REST_LEN = 16;
export const W_CONTENT_LENGTH = 17;
export const W_HEADER_COUNT = 18;
export const W_ITEM_COUNT = 19;
export const W_PRESENT_LO = 20;
export const W_PRESENT_HI = 21;
export const W_CALL_ID_OFF = 22;
export const W_CALL_ID_LEN = 23;
export const W_CSEQ_NUMBER = 24;
export const W_CSEQ_OFF = 25;
export const W_CSEQ_LEN = 26;
export const W_CSEQ_METHOD = 27;
export const W_CSEQ_METHOD_OFF = 28;
export const W_CSEQ_METHOD_LEN = 29;
export const W_MAX_FORWARDS = 30;
export const W_MAX_FORWARDS_OFF = 31;
export const W_MAX_FORWARDS_LEN = 32;
export const W_MAX_BREADTH = 33;
export const W_MAX_BREADTH_OFF = 34;
export const W_MAX_BREADTH_LEN = 35;
export const W_FROM_OFF = 36;
export const W_FROM_LEN = 37;
export const W_FROM_URI_OFF = 38;
export const W_FROM_URI_LEN = 39;
export const W_FROM_TAG_OFF = 40;
export const W_FROM_TAG_LEN = 41;
export const W_TO_OFF = 42;
export const W_TO_LEN = 43;
export const W_TO_URI_OFF = 44;
export const W_TO_URI_LEN = 45;
export const W_TO_TAG_OFF = 46;
export const W_TO_TAG_LEN = 47;
export const W_VIA_COUNT = 48;
export const W_VIA_LINE_OFF = 49;
export const W_VIA_LINE_END = 50;
export const W_VIA_OFF = 51;
export const W_VIA_LEN = 52;
export const W_VIA_NEXT_OFF = 53;
export const W_VIA_TRANSPORT_OFF = 54;
export const W_VIA_TRANSPORT_LEN = 55;
export const W_VIA_HOST_OFF = 56;
export const W_VIA_HOST_LEN = 57;
export const W_VIA_PORT = 58;
export const W_VIA_SENT_BY_END = 59;
export const W_VIA_BRANCH_OFF = 60;
export const W_VIA_BRANCH_LEN = 61;
export const W_VIA_RECEIVED_OFF = 62;
export const W_VIA_RECEIVED_LEN = 63;
export const W_VIA_RPORT_OFF = 64;
export const W_VIA_RPORT = 65;
export const W_VIA_MADDR_OFF = 66;
export const W_VIA_MADDR_LEN = 67;
export const W_VIA_TTL = 68;
export const W_CONTACT_COUNT = 69;
export const W_CONTACT_STAR = 70;
export const W_CONTACT_OFF = 71;
export const W_CONTACT_LEN = 72;
export const W_CONTACT_URI_OFF = 73;
export const W_CONTACT_URI_LEN = 74;
export const W_ROUTE_COUNT = 75;
export const W_ROUTE_ITEM = 76;
export const W_RECORD_ROUTE_COUNT = 77;
export const W_RECORD_ROUTE_ITEM = 78;
export const W_FIXED_END = 79;

/* Words of one row of the header table. */
export const H_ID_NAME_LEN = 0;
export const H_LINE_OFF = 1;
export const H_VALUE_OFF = 2;
export const H_VALUE_LEN = 3;

/* Words of one row of the item table. */
export const I_ID_HEADER = 0;
export const I_OFF = 1;
export const I_LEN = 2;
export const I_URI_OFF = 3;
export const I_URI_LEN = 4;
export const I_NEXT = 5;

/* Methods. */
export const M_UNKNOWN = 0;
export const M_INVITE = 1;
export const M_ACK = 2;
export const M_BYE = 3;
export const M_CANCEL = 4;
export const M_OPTIONS = 5;
export const M_REGISTER = 6;
export const M_PRACK = 7;
export const M_UPDATE = 8;
export const M_INFO = 9;
export const M_REFER = 10;
export const M_SUBSCRIBE = 11;
export const M_NOTIFY = 12;
export const M_MESSAGE = 13;
export const M_PUBLISH = 14;

export const METHOD_NAMES: readonly string[] = [
  'UNKNOWN',
  'INVITE',
  'ACK',
  'BYE',
  'CANCEL',
  'OPTIONS',
  'REGISTER',
  'PRACK',
  'UPDATE',
  'INFO',
  'REFER',
  'SUBSCRIBE',
  'NOTIFY',
  'MESSAGE',
  'PUBLISH',
];

/* Header fields known by name. */
export const HDR_OTHER = 0;
export const HDR_VIA = 1;
export const HDR_FROM = 2;
export const HDR_TO = 3;
export const HDR_CALL_ID = 4;
export const HDR_CSEQ = 5;
export const HDR_MAX_FORWARDS = 6;
export const HDR_CONTACT = 7;
export const HDR_ROUTE = 8;
export const HDR_RECORD_ROUTE = 9;
export const HDR_CONTENT_LENGTH = 10;
export const HDR_CONTENT_TYPE = 11;
export const HDR_REQUIRE = 12;
export const HDR_PROXY_REQUIRE = 13;
export const HDR_SUPPORTED = 14;
export const HDR_UNSUPPORTED = 15;
export const HDR_ALLOW = 16;
export const HDR_AUTHORIZATION = 17;
export const HDR_PROXY_AUTHORIZATION = 18;
export const HDR_WWW_AUTHENTICATE = 19;
export const HDR_PROXY_AUTHENTICATE = 20;
export const HDR_EXPIRES = 21;
export const HDR_RACK = 22;
export const HDR_RSEQ = 23;
export const HDR_REFER_TO = 24;
export const HDR_REFERRED_BY = 25;
export const HDR_REPLACES = 26;
export const HDR_EVENT = 27;
export const HDR_SUBSCRIPTION_STATE = 28;
export const HDR_SUBJECT = 29;
export const HDR_USER_AGENT = 30;
export const HDR_SERVER = 31;
export const HDR_TIMESTAMP = 32;
export const HDR_DATE = 33;
export const HDR_WARNING = 34;
export const HDR_RETRY_AFTER = 35;
export const HDR_SESSION_EXPIRES = 36;
export const HDR_MIN_SE = 37;
export const HDR_MAX_BREADTH = 38;
export const HDR_REASON = 39;
export const HDR_P_ASSERTED_IDENTITY = 40;
export const HDR_PATH = 41;
export const HDR_SERVICE_ROUTE = 42;
export const HDR_CONTENT_ENCODING = 43;
export const HDR_COUNT = 44;

/* Why a message was refused. */
export const F_OK = 0;
export const F_BAD_START_LINE = 1;
export const F_BAD_VERSION = 2;
export const F_BAD_REQUEST_URI = 3;
export const F_BAD_STATUS_CODE = 4;
export const F_BAD_HEADER_LINE = 5;
export const F_NO_END_OF_HEADER = 6;
export const F_TOO_MANY_HEADERS = 7;
export const F_TOO_MANY_ITEMS = 8;
export const F_MISSING_VIA = 9;
export const F_MISSING_FROM = 10;
export const F_MISSING_TO = 11;
export const F_MISSING_CALL_ID = 12;
export const F_MISSING_CSEQ = 13;
export const F_REPEATED_HEADER = 14;
export const F_BAD_VIA = 15;
export const F_BAD_FROM = 16;
export const F_BAD_TO = 17;
export const F_BAD_CALL_ID = 18;
export const F_BAD_CSEQ = 19;
export const F_BAD_MAX_FORWARDS = 20;
export const F_BAD_CONTACT = 21;
export const F_BAD_ROUTE = 22;
export const F_BAD_RECORD_ROUTE = 23;
export const F_BAD_CONTENT_LENGTH = 24;
export const F_SHORT_BODY = 25;
export const F_CSEQ_METHOD_MISMATCH = 26;
export const F_BAD_MAX_BREADTH = 27;
export const F_FAULT_COUNT = 28;

export const FAULT_NAMES: readonly string[] = [
  'OK',
  'BAD_START_LINE',
  'BAD_VERSION',
  'BAD_REQUEST_URI',
  'BAD_STATUS_CODE',
  'BAD_HEADER_LINE',
  'NO_END_OF_HEADER',
  'TOO_MANY_HEADERS',
  'TOO_MANY_ITEMS',
  'MISSING_VIA',
  'MISSING_FROM',
  'MISSING_TO',
  'MISSING_CALL_ID',
  'MISSING_CSEQ',
  'REPEATED_HEADER',
  'BAD_VIA',
  'BAD_FROM',
  'BAD_TO',
  'BAD_CALL_ID',
  'BAD_CSEQ',
  'BAD_MAX_FORWARDS',
  'BAD_CONTACT',
  'BAD_ROUTE',
  'BAD_RECORD_ROUTE',
  'BAD_CONTENT_LENGTH',
  'SHORT_BODY',
  'CSEQ_METHOD_MISMATCH',
  'BAD_MAX_BREADTH',
];

/* Words of one URI. */
export const U_STATUS = 0;
export const U_SCHEME = 1;
export const U_SCHEME_LEN = 2;
export const U_USER_OFF = 3;
export const U_USER_LEN = 4;
export const U_PASSWORD_OFF = 5;
export const U_PASSWORD_LEN = 6;
export const U_HOST_OFF = 7;
export const U_HOST_LEN = 8;
export const U_PORT = 9;
export const U_PARAMS_OFF = 10;
export const U_PARAMS_LEN = 11;
export const U_HEADERS_OFF = 12;
export const U_HEADERS_LEN = 13;
export const U_LR = 14;
export const U_TRANSPORT = 15;
export const U_MADDR_OFF = 16;
export const U_MADDR_LEN = 17;
export const U_TTL = 18;
export const U_R2 = 19;
export const U_FTAG_OFF = 20;
export const U_FTAG_LEN = 21;
export const U_END = 22;
