/* fuzz.c - the fuzz target, and the same check over files.
 *
 *   with libFuzzer:  clang -fsanitize=fuzzer,address,undefined sip_parser.c fuzz.c
 *   without:         cc -DFUZZ_FILES sip_parser.c fuzz.c && ./a.out FILE...
 *
 * Each input is parsed in a block that ends with the padding, so that AddressSanitizer sees a read too far,
 * and into words with a guard behind them.  Every offset and length that comes out must lie inside the
 * message. scripts/test-parser-native.mjs builds and runs both.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sip_parser.h"

enum { GUARD_WORDS = 16, PARAMETER_WORDS = 2 };
static const uint32_t kGuard = 0x5afe5afe;

static void require(int condition, const char* what, uint32_t a, uint32_t b) {
  if (condition) return;
  fprintf(stderr, "%s: %u, %u\n", what, a, b);
  abort();
}

static void require_span(uint32_t offset, uint32_t span, uint32_t size, const char* what) {
  require(offset <= size && span <= size - offset, what, offset, span);
}

/* Offset words that a length word follows. */
static const uint8_t kSpans[] = {
    SIP_W_METHOD_OFF,      SIP_W_RURI_OFF,          SIP_W_REASON_OFF,
    SIP_W_BODY_OFF,        SIP_W_CALL_ID_OFF,       SIP_W_CSEQ_OFF,
    SIP_W_CSEQ_METHOD_OFF, SIP_W_MAX_FORWARDS_OFF,  SIP_W_MAX_BREADTH_OFF,
    SIP_W_FROM_OFF,        SIP_W_FROM_URI_OFF,      SIP_W_FROM_TAG_OFF,
    SIP_W_TO_OFF,          SIP_W_TO_URI_OFF,        SIP_W_TO_TAG_OFF,
    SIP_W_VIA_OFF,         SIP_W_VIA_TRANSPORT_OFF, SIP_W_VIA_HOST_OFF,
    SIP_W_VIA_BRANCH_OFF,  SIP_W_VIA_RECEIVED_OFF,  SIP_W_VIA_MADDR_OFF,
    SIP_W_CONTACT_OFF,     SIP_W_CONTACT_URI_OFF,
};
/* Offset words that stand alone. */
static const uint8_t kPlaces[] = {
    SIP_W_FAULT_OFF,    SIP_W_START_OFF,    SIP_W_HEADERS_OFF,     SIP_W_HEADERS_END,   SIP_W_VIA_LINE_OFF,
    SIP_W_VIA_LINE_END, SIP_W_VIA_NEXT_OFF, SIP_W_VIA_SENT_BY_END, SIP_W_VIA_RPORT_OFF,
};
static const uint8_t kUriSpans[] = {
    SIP_U_USER_OFF,    SIP_U_PASSWORD_OFF, SIP_U_HOST_OFF, SIP_U_PARAMS_OFF,
    SIP_U_HEADERS_OFF, SIP_U_MADDR_OFF,    SIP_U_FTAG_OFF,
};

static void check_fixed_words(const uint32_t* words, uint32_t size) {
  for (size_t i = 0; i < sizeof kSpans; i++)
    require_span(words[kSpans[i]], words[kSpans[i] + 1], size, "span");
  for (size_t i = 0; i < sizeof kPlaces; i++) require_span(words[kPlaces[i]], 0, size, "place");
  require(words[SIP_W_STATUS] < SIP_FAULT_COUNT, "status", words[SIP_W_STATUS], 0);
  require(words[SIP_W_KIND] <= 2, "kind", words[SIP_W_KIND], 0);
  require(words[SIP_W_METHOD] <= SIP_PUBLISH, "method", words[SIP_W_METHOD], 0);
  require(words[SIP_W_BODY_LEN] <= words[SIP_W_REST_LEN], "body", words[SIP_W_BODY_LEN],
          words[SIP_W_REST_LEN]);
  require(words[SIP_W_VIA_PORT] <= 65535 && words[SIP_W_VIA_RPORT] <= 65535, "port", words[SIP_W_VIA_PORT],
          words[SIP_W_VIA_RPORT]);
  require(words[SIP_W_STATUS] != SIP_OK || sip_answerable(words), "answerable", 0, 0);
}

static void check_headers(const uint32_t* words, uint32_t size) {
  uint32_t end = words[SIP_W_HEADERS_OFF];
  require(words[SIP_W_HEADER_COUNT] <= SIP_HEADERS_MAX, "headers", words[SIP_W_HEADER_COUNT], 0);
  for (uint32_t i = 0; i < words[SIP_W_HEADER_COUNT]; i++) {
    const uint32_t* row = words + SIP_HEADERS_AT + i * SIP_HEADER_WORDS;
    require(row[SIP_H_ID_NAME_LEN] >> 16 < SIP_HDR_COUNT, "header id", i, row[SIP_H_ID_NAME_LEN]);
    require(row[SIP_H_LINE_OFF] >= end, "header order", row[SIP_H_LINE_OFF], end);
    require_span(row[SIP_H_LINE_OFF], row[SIP_H_ID_NAME_LEN] & 0xffff, size, "header name");
    require(row[SIP_H_VALUE_OFF] >= row[SIP_H_LINE_OFF], "header value", row[SIP_H_VALUE_OFF],
            row[SIP_H_LINE_OFF]);
    require_span(row[SIP_H_VALUE_OFF], row[SIP_H_VALUE_LEN], size, "header value");
    end = row[SIP_H_VALUE_OFF] + row[SIP_H_VALUE_LEN];
  }
}

static void check_items(const uint32_t* words, uint32_t size) {
  const uint32_t count = words[SIP_W_ITEM_COUNT];
  require(count <= SIP_ITEMS_MAX, "items", count, 0);
  require(words[SIP_W_VIA_COUNT] + words[SIP_W_CONTACT_COUNT] + words[SIP_W_ROUTE_COUNT] +
                  words[SIP_W_RECORD_ROUTE_COUNT] ==
              count,
          "item counts", words[SIP_W_VIA_COUNT], count);
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t* row = words + SIP_ITEMS_AT + i * SIP_ITEM_WORDS;
    require((row[SIP_I_ID_HEADER] & 0xffff) < words[SIP_W_HEADER_COUNT], "item header", i,
            row[SIP_I_ID_HEADER]);
    require_span(row[SIP_I_OFF], row[SIP_I_LEN], size, "item value");
    require_span(row[SIP_I_URI_OFF], row[SIP_I_URI_LEN], size, "item URI");
    require(row[SIP_I_NEXT] == 0 || (row[SIP_I_NEXT] > i && row[SIP_I_NEXT] < count), "item chain", i,
            row[SIP_I_NEXT]);
  }
}

/* Over all words of all inputs: builds with and without SIMD must come to the same. */
static uint64_t words_hash = 0xcbf29ce484222325;

static void hash_words(const uint32_t* words, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) words_hash = (words_hash ^ words[i]) * 0x100000001b3;
}

/* Parses the URI, and looks for a parameter in it. */
static void check_uri(const uint8_t* message, uint32_t size, uint32_t offset, uint32_t length) {
  uint32_t words[SIP_URI_WORDS + GUARD_WORDS];
  words[SIP_URI_WORDS] = kGuard;
  sip_parse_uri(message, offset, length, words);
  require(words[SIP_URI_WORDS] == kGuard, "URI guard", words[SIP_URI_WORDS], 0);
  for (size_t i = 0; i < sizeof kUriSpans; i++) {
    require_span(words[kUriSpans[i]], words[kUriSpans[i] + 1], size, "URI span");
  }
  require(words[SIP_U_STATUS] != 0 || words[SIP_U_HOST_LEN] != 0, "URI host", 0, 0);
  require(words[SIP_U_PORT] <= 65535, "URI port", words[SIP_U_PORT], 0);
  hash_words(words, SIP_URI_WORDS);
  uint32_t found[PARAMETER_WORDS + 1] = {0, 0, kGuard};
  sip_find_parameter(message, offset, length, (const uint8_t*)"lr", 2, found);
  require_span(found[0], found[1], size, "parameter");
  require(found[PARAMETER_WORDS] == kGuard, "parameter guard", found[PARAMETER_WORDS], 0);
}

static void check_message(const uint8_t* message, uint32_t size) {
  uint32_t* words = malloc((SIP_WORDS + GUARD_WORDS) * sizeof *words);
  if (!words) abort();
  words[SIP_WORDS] = kGuard;
  const uint32_t status = sip_parse(message, size, words);
  require(status == words[SIP_W_STATUS], "status", status, words[SIP_W_STATUS]);
  require(words[SIP_WORDS] == kGuard, "guard", words[SIP_WORDS], 0);
  check_fixed_words(words, size);
  check_headers(words, size);
  check_items(words, size);
  hash_words(words, SIP_W_FIXED_END);
  hash_words(words + SIP_HEADERS_AT, words[SIP_W_HEADER_COUNT] * SIP_HEADER_WORDS);
  hash_words(words + SIP_ITEMS_AT, words[SIP_W_ITEM_COUNT] * SIP_ITEM_WORDS);
  check_uri(message, size, words[SIP_W_RURI_OFF], words[SIP_W_RURI_LEN]);
  check_uri(message, size, words[SIP_W_FROM_OFF], words[SIP_W_FROM_LEN]);
  check_uri(message, size, words[SIP_W_CONTACT_URI_OFF], words[SIP_W_CONTACT_URI_LEN]);
  check_uri(message, size, 0, size);
  free(words);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  uint8_t* message = malloc(size + SIP_PADDING);
  if (!message) abort();
  if (size) memcpy(message, data, size);
  /* What follows must not matter: once it continues the message, once it ends it. */
  for (int pass = 0; pass < 2; pass++) {
    memset(message + size, pass ? '\n' : ' ', SIP_PADDING);
    check_message(message, (uint32_t)size);
  }
  free(message);
  return 0;
}

#if defined(FUZZ_FILES)
static void check_file(const char* path) {
  FILE* file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END) != 0) {
    perror(path);
    exit(1);
  }
  const long size = ftell(file);
  uint8_t* data = size < 0 ? NULL : malloc((size_t)size + 1);
  rewind(file);
  if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) {
    perror(path);
    exit(1);
  }
  fclose(file);
  /* Every prefix is a datagram too. */
  for (long length = 0; length <= size; length++) LLVMFuzzerTestOneInput(data, (size_t)length);
  free(data);
}

int main(int count, char** paths) {
  for (int i = 1; i < count; i++) check_file(paths[i]);
  printf("%d files parsed, each also cut at every byte; words %016llx\n", count - 1,
         (unsigned long long)words_hash);
  return 0;
}
#endif
