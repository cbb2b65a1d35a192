// What the parts of the event file writer share. Private to runtime/report/.
#ifndef SG_REPORT_EVENT_MESSAGE_H
#define SG_REPORT_EVENT_MESSAGE_H

#include "runtime/base/arena.h"
#include "runtime/report/event_file.h"

typedef struct Tb__Event EventMessage;

// A zeroed message of the type in the arena: NEW(arena, SESSION_LOG, SessionLog).
#define EVENT_NEW(arena, UPPER, Type)                                                                                  \
  ((Tb__##Type *)arena_memdup((arena), &(Tb__##Type)TB__##UPPER##__INIT, sizeof(Tb__##Type)))

// Frames and writes one event, after setting its time.
Status event_file_put(EventFile *file, EventMessage *event);

#endif
