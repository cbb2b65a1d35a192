// Handles: objects of the driver that users hold pointers to. A pointer that is no live handle of its kind is known
// as such, and a freed object's address is not used again soon.
#ifndef SIM_DRIVER_HANDLE_H
#define SIM_DRIVER_HANDLE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum HandleKind {
  HANDLE_STREAM = 1,
  HANDLE_EVENT,
  HANDLE_MODULE,
  HANDLE_FUNCTION,
  HANDLE_GRAPH,
  HANDLE_NODE,
  HANDLE_EXEC,
  HANDLE_BLAS,
  HANDLE_COMM,
} HandleKind;

// A zeroed object, and a live handle from here on.
void *handle_new(HandleKind kind, size_t bytes);
bool handle_is(const void *handle, HandleKind kind);
// The handle is dead, the object stays until handle_free.
void handle_retire(void *handle);
// Frees the object, retired or not.
void handle_free(void *handle);
// Calls `visit` for each live handle of the kind; it may retire or free that one.
void handle_each(HandleKind kind, void (*visit)(void *handle, void *user), void *user);

#endif
