// Kernel parts: kernels that need the same shared functions are compiled together, the others even it out.
#include "runtime/base/text.h"
#include "runtime/kernel_parts.h"
#include "runtime/program.h"
#include "tests/check.h"

enum { LONG = 4000, SHORT = 500 };

static void put_filler(Text *out, int bytes) {
  for (int i = 0; i < bytes; i += 10) text_put(out, "  x += 1;\n");
}

// Two shared functions that have the same long one copied into them, a declaration that looks like one, kernels.
static void put_preamble(Text *out) {
  text_put(out, "typedef void SgTile(const float *x);\n#define SG_SHARED static\nSG_INLINE void sg_long(int x) {\n");
  put_filler(out, LONG);
  text_put(out, "}\nSG_SHARED void sg_a(int x,\n                    int y) {\n  sg_long(x);\n}\n"
                "SG_SHARED void sg_b(int x) { sg_long(x); }\nSG_SHARED void sg_c(int x) { sg_b(x); }\n");
}

static void put_kernel(Text *out, int number, const char *calls) {
  text_printf(out, PROGRAM_KERNEL_MARK "k%d\nvoid k%d(int x) {\n", number, number);
  if (*calls) text_printf(out, "  %s(x);\n", calls);
  put_filler(out, SHORT);
  text_put(out, "}\n");
}

static void check(const char *const *calls, int n, int parts, const char *want) {
  Text source = {0};
  put_preamble(&source);
  for (int i = 0; i < n; i++) put_kernel(&source, i, calls[i]);
  Arena *arena = arena_new();
  int *part;
  int got_n = kernel_parts_deal(text_get(&source), parts, arena, &part);
  CHECK(got_n == n, "%d kernels", got_n);
  Text got = {0};
  for (int i = 0; i < got_n; i++) text_printf(&got, "%d", part[i]);
  CHECK(!strcmp(text_get(&got), want), "%s, expected %s", text_get(&got), want);
  text_free(&got);
  text_free(&source);
  arena_free(arena);
}

int main(void) {
  // those that reach sg_b together, though one does through sg_c; sg_a apart; what calls nothing where there is room
  check((const char *const[]){"sg_a", "sg_b", "sg_c", "sg_b", "", ""}, 6, 2, "100011");
  check((const char *const[]){"sg_a", "sg_a", "", "", "", "", "", "", "", "", "", "", "", ""}, 14, 2, "00110101011111");
  check((const char *const[]){"sg_a", "sg_a"}, 2, 2, "01"); // sooner than one after the other
  check((const char *const[]){"", "", "", "", "", ""}, 6, 3, "012012");
  check((const char *const[]){"sg_a", "sg_b"}, 2, 1, "00");
  check(NULL, 0, 2, "");
  return check_report("parts");
}
