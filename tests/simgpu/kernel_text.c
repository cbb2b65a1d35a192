// The headers that generated code includes, as they stand, inside the library: it needs no source tree to run.
#include "tests/simgpu/kernel_text.h"

#define EMBED(name)                                                                                                    \
  __asm__(".section .rodata\n"                                                                                         \
          ".global sim_text_" #name "\n"                                                                               \
          "sim_text_" #name ":\n"                                                                                      \
          ".incbin \"tests/simgpu/" #name ".h\"\n"                                                                     \
          ".byte 0\n"                                                                                                  \
          ".previous\n");                                                                                              \
  extern const char sim_text_##name[] __attribute__((visibility("hidden")));

EMBED(kernel_thread)
EMBED(kernel_memory)
EMBED(kernel_integer)
EMBED(kernel_float)

const SimHeader sim_headers[SIM_HEADERS] = {
    {"kernel_thread.h", sim_text_kernel_thread},
    {"kernel_memory.h", sim_text_kernel_memory},
    {"kernel_integer.h", sim_text_kernel_integer},
    {"kernel_float.h", sim_text_kernel_float},
};
