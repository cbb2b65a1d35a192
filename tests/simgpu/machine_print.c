// vprintf and failed assertions of kernels.
#include "tests/simgpu/kernel_memory.h"
#include "tests/simgpu/machine_run.h"

#include <stdio.h>
#include <string.h>

static void read_text(SimThread *thread, SimBlock *block, uint64_t address, unsigned site, char *out, size_t n_out) {
  size_t n = 0;
  while (n + 1 < n_out) {
    char c = (char)*generic_at(thread, block, address + n, 1, ACCESS_READ, site);
    if (!c) break;
    out[n++] = c;
  }
  out[n] = 0;
}

static uint64_t take(SimThread *thread, SimBlock *block, uint64_t *at, unsigned n, unsigned site) {
  *at = (*at + n - 1) / n * n;
  const uint8_t *bytes = generic_at(thread, block, *at, n, ACCESS_READ, site);
  *at += n;
  return n == 8 ? load_u64(bytes) : load_u32(bytes);
}

// Arguments lie one behind the other, each aligned to its size; printed with the host's printf one by one.
int print_formatted(SimThread *thread, SimBlock *block, uint64_t format, uint64_t arguments, unsigned site) {
  char text[2048], piece[64], string[512];
  int count = 0;
  read_text(thread, block, format, site, text, sizeof text);
  flockfile(stdout);
  for (const char *s = text; *s;) {
    if (*s != '%' || s[1] == '%') {
      fputc(*s, stdout);
      s += *s == '%' ? 2 : 1;
      continue;
    }
    size_t n = 1 + strspn(s + 1, "-+ #0123456789.*"), length = strspn(s + n, "hlLqjzt");
    char conversion = s[n + length];
    bool is_long = memchr(s + n, 'l', length) || memchr(s + n, 'z', length) || memchr(s + n, 'j', length) ||
                   memchr(s + n, 't', length);
    if (!conversion || n + 8 > sizeof piece || memchr(s, '*', n)) break;
    memcpy(piece, s, n);
    piece[n] = 0;
    s += n + length + 1;
    count++;
    if (strchr("eEfFgGaA", conversion)) {
      uint64_t bits = take(thread, block, &arguments, 8, site);
      double value;
      memcpy(&value, &bits, 8);
      snprintf(piece + n, sizeof piece - n, "%c", conversion);
      printf(piece, value);
    } else if (conversion == 's') {
      read_text(thread, block, take(thread, block, &arguments, 8, site), site, string, sizeof string);
      snprintf(piece + n, sizeof piece - n, "s");
      printf(piece, string);
    } else if (conversion == 'p' || is_long) {
      uint64_t value = take(thread, block, &arguments, 8, site);
      snprintf(piece + n, sizeof piece - n, "ll%c", conversion == 'p' ? 'x' : conversion);
      printf(piece, (long long)value);
    } else {
      uint32_t value = (uint32_t)take(thread, block, &arguments, 4, site);
      snprintf(piece + n, sizeof piece - n, "%c", conversion);
      printf(piece, (int)value);
    }
  }
  fflush(stdout);
  funlockfile(stdout);
  return count;
}

void assert_failed(SimThread *thread, SimBlock *block, uint64_t message, uint64_t file, unsigned line,
                   uint64_t function, unsigned site) {
  char what[200], where[120], who[120];
  read_text(thread, block, message, site, what, sizeof what);
  read_text(thread, block, file, site, where, sizeof where);
  read_text(thread, block, function, site, who, sizeof who);
  fault_at(thread, block, SIM_TRAP, site, "assertion failed: %s (%s:%u, %s)", what, where, line, who);
}
