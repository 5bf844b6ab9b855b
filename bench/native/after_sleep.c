/* What a sleep costs besides waking: the same loads, jumps and multiplications at once again, and 250 us of sleep later.
 *
 *   cc -O2 bench/native/after_sleep.c -o after-sleep && taskset -c 0 ./after-sleep
 *
 * A proxy that gets one datagram at a time runs like the second column. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { kUnits = 512, kPage = 4096, kLine = 64, kGoes = 2000, kSleepNs = 250000, kBytes = kUnits * (kPage + kLine) };

static uint64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int by_size(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static char *memory;
static size_t first; /* where the ring or chain begins */
static size_t order[kUnits];
static volatile uint64_t sink;

static void shuffle(void) {
  for (size_t n = 0; n < kUnits; n++) order[n] = n;
  for (size_t n = kUnits - 1; n > 0; n--) {
    const size_t other = (size_t)rand() % (n + 1), kept = order[n];
    order[n] = order[other];
    order[other] = kept;
  }
}

/* A ring of pointers, one to a line. */
static void lay_loads(size_t stride) {
  for (size_t n = 0; n < kUnits; n++) *(char **)(memory + order[n] * stride) = memory + order[(n + 1) % kUnits] * stride;
}
static void loads(void) {
  char *at = memory + first;
  for (size_t n = 0; n < kUnits; n++) at = *(char **)at;
  sink = (uint64_t)at;
}

/* A chain of jumps, one to a line, that ends with a return. */
static void lay_jumps(size_t stride) {
  for (size_t n = 0; n < kUnits; n++) {
    char *at = memory + order[n] * stride;
    const int32_t distance = (int32_t)(memory + order[(n + 1) % kUnits] * stride - (at + 5));
    *at = n == kUnits - 1 ? (char)0xc3 : (char)0xe9;
    memcpy(at + 1, &distance, sizeof distance);
  }
}
static void jumps(void) { ((void (*)(void))(memory + first))(); }

static void multiplications(void) {
  uint64_t x = sink;
  for (int n = 0; n < kUnits; n++) x = x * 6364136223846793005u + 1;
  sink = x;
}

static double median(void (*work)(void), int sleeps) {
  static uint64_t taken[kGoes];
  for (int n = 0; n < kGoes; n++) {
    if (sleeps) nanosleep(&(struct timespec){0, kSleepNs}, NULL);
    const uint64_t began = nanoseconds();
    work();
    taken[n] = nanoseconds() - began;
  }
  qsort(taken, kGoes, sizeof *taken, by_size);
  return (double)taken[kGoes / 2] / kUnits;
}

static void row(const char *name, void (*work)(void)) {
  const double warm = median(work, 0), cold = median(work, 1);
  printf("| %s | %.1f | %.1f | %.1f |\n", name, warm, cold, cold / warm);
}

int main(void) {
  memory = mmap(NULL, kBytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  memset(memory, 0, kBytes);
  printf("| ns each | at once again | after a sleep | times |\n| --- | --- | --- | --- |\n");
  row("multiplications", multiplications);
  for (int spread = 0; spread < 2; spread++) {
    const size_t stride = spread ? kPage + kLine : kLine;
    shuffle();
    first = order[0] * stride;
    lay_loads(stride);
    row(spread ? "loads, a page apart" : "loads, a line apart", loads);
    lay_jumps(stride);
    row(spread ? "jumps, a page apart" : "jumps, a line apart", jumps);
  }
  return 0;
}
