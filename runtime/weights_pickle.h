// Pickles, Python's serialised objects, read into a tree without running anything.
//
// A pickle is a program for a stack machine; some of its operations fetch any global of any Python module and call it.
// Here such operations only make nodes of a tree (this global, called with these arguments), and only for globals that
// the caller allows; everything that builds plain data is carried out, and whatever is left is refused by name.
#ifndef SG_WEIGHTS_PICKLE_H
#define SG_WEIGHTS_PICKLE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

typedef enum PickleKind {
  PICKLE_NONE,
  PICKLE_BOOL,       // number
  PICKLE_INT,        // number
  PICKLE_BIG,        // a whole number beyond 64 bits: its n little-endian bytes in `text`
  PICKLE_FLOAT,      // its value is not kept
  PICKLE_TEXT,       // n bytes in `text`, a zero after them; bytes objects too
  PICKLE_TUPLE,      // n items
  PICKLE_LIST,       // n items
  PICKLE_DICT,       // n items: key, value, key, value, ...; collections.OrderedDict too
  PICKLE_GLOBAL,     // "module.name" in `text`
  PICKLE_CALL,       // items: the global, the tuple of arguments
  PICKLE_PERSISTENT, // item: the identifier of something stored elsewhere
} PickleKind;

typedef struct PickleValue PickleValue;
struct PickleValue {
  PickleKind kind;
  bool is_open; // for who walks the tree: lists and dictionaries may hold themselves
  int64_t number;
  const char *text;
  PickleValue **item;
  int64_t n, capacity;
};

typedef struct Pickle {
  PickleValue *root;
  int64_t size;             // bytes read; what follows is not the pickle's
  int64_t n_operations;     // carried out
  PickleValue **persistent; // all PICKLE_PERSISTENT in the order of the stream
  int64_t n_persistent, cap_persistent;
} Pickle;

// Reads one pickle of protocol 2 to 5 from the front of `bytes`. `allowed` are the globals it may name besides
// collections.OrderedDict, spelled "module.name" and ended by NULL. The tree lives in the arena. EXIT_WEIGHTS where the
// stream is damaged, truncated or asks for anything else.
Status pickle_read(Arena *arena, const char *bytes, int64_t size, const char *const *allowed, Pickle *out);

bool pickle_is_text(const PickleValue *value, const char *text);   // a PICKLE_TEXT equal to `text`
bool pickle_is_global(const PickleValue *value, const char *name); // a PICKLE_GLOBAL of that name
// The value of a text key in a dictionary, or NULL.
const PickleValue *pickle_member(const PickleValue *dict, const char *key);

#endif
