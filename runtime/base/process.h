// Process: who holds a job, so that others can tell whether it still lives.
#ifndef SG_BASE_PROCESS_H
#define SG_BASE_PROCESS_H

#include <stdbool.h>

enum { PROCESS_TEXT = 512 };

// This process as text: host, boot of the machine, process number, and when the process started, so that neither a
// reboot nor a reused number makes another one pass for it.
void process_self(char out[PROCESS_TEXT]);

// Whether the process of such a text still runs. One of another host counts as running: nobody here can tell.
bool process_is_alive(const char *text);

#endif
