// common_interrupt: Ctrl-C as a request to end cleanly.
#include "tools/common_interrupt.h"

static volatile sig_atomic_t is_asked;

// The second signal ends the process at once: the handler is reset when it runs.
static void on_signal(int signal) {
  (void)signal;
  is_asked = 1;
}

void interrupt_ask(void) { is_asked = 1; }

const volatile sig_atomic_t *interrupt_catch(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  return &is_asked;
}
