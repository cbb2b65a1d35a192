// Text of the headers that generated code includes.
#ifndef SIM_KERNEL_TEXT_H
#define SIM_KERNEL_TEXT_H

enum { SIM_HEADERS = 4 };
typedef struct SimHeader {
  const char *name, *text;
} SimHeader;
extern const SimHeader sim_headers[SIM_HEADERS];

#endif
