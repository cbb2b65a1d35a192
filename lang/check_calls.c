// check_calls: modules may not call each other in circles.
#include "lang/check.h"

enum { MAX_TRAIL = 120 }; // longer chains of calls meet a limit of the elaborator anyway

typedef struct Trail {
  const CallEdge *items[MAX_TRAIL];
  int n;
} Trail;

static void say_circle(Check *check, const Trail *trail, const Decl *decl) {
  int first = trail->n - 1;
  while (first > 0 && trail->items[first - 1]->callee != decl) first--;
  const CallEdge *last = trail->items[trail->n - 1];
  if (first == trail->n - 1) {
    CHECK_ERROR(check, last->loc, "'%s' calls itself", decl->name.text);
  } else {
    CHECK_ERROR(check, last->loc, "'%s' calls itself through others", decl->name.text);
    for (int i = first; i < trail->n - 1; i++)
      CHECK_NOTE(check, trail->items[i]->loc, "'%s' is called here", trail->items[i]->callee->name.text);
  }
  CHECK_HINT(check, "recursion is not part of the language; repeat with `for`");
}

static void visit(Check *check, Trail *trail, Decl *decl) {
  if (trail->n == MAX_TRAIL) return;
  decl->mark = MARK_OPEN;
  for (int i = 0; i < decl->n_calls; i++) {
    const CallEdge *edge = &decl->calls[i];
    if (edge->callee->mark == MARK_DONE) continue;
    trail->items[trail->n++] = edge;
    if (edge->callee->mark == MARK_OPEN) say_circle(check, trail, edge->callee);
    else visit(check, trail, edge->callee);
    trail->n--;
  }
  decl->mark = MARK_DONE;
}

void check_circles(Check *check) {
  Trail trail = {.n = 0};
  for (int i = 0; i < check->file->n_sources; i++) {
    const Source *source = check->file->sources[i];
    for (int k = 0; k < source->decls.n; k++)
      if (source->decls.items[k]->mark == MARK_NEW) visit(check, &trail, source->decls.items[k]);
  }
}
