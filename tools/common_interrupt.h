// common_interrupt: Ctrl-C as a request to end cleanly.
#ifndef SG_TOOLS_COMMON_INTERRUPT_H
#define SG_TOOLS_COMMON_INTERRUPT_H

#include <signal.h>

// From now on the first SIGINT or SIGTERM makes the returned flag 1 instead of ending the process; a second one ends
// it at once.
const volatile sig_atomic_t *interrupt_catch(void);

// Sets that flag as a signal would.
void interrupt_ask(void);

#endif
