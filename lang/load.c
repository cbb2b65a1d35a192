// load: a file and everything it uses, from the disk or from a bundle.
#include <string.h>

#include "lang/file.h"
#include "lang/token.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"

enum { MAX_SOURCE = 16 << 20 }; // bytes of one file

typedef struct Loader {
  LangFile *file;
  const LangPaths *paths;
  Diag *diag;
} Loader;

// Copies the text into the arena; an error without a place if it cannot be a text.
static const char *keep_text(Loader *loader, const char *path, const Text *text) {
  if (text->size > MAX_SOURCE) {
    diag_error(loader->diag, (SrcLoc){0}, "'%s' is larger than %d MiB", path, MAX_SOURCE >> 20);
    return NULL;
  }
  if (text->size && memchr(text->data, 0, text->size)) {
    diag_error(loader->diag, (SrcLoc){0}, "'%s' is not a text: it holds a zero byte", path);
    return NULL;
  }
  return arena_strdup(loader->file->arena, text_get(text));
}

static Source *add_source(Loader *loader, const char *name, const char *path, const char *text) {
  LangFile *file = loader->file;
  Source *source = ARENA_ARRAY(file->arena, Source, 1);
  source->name = arena_strdup(file->arena, name);
  source->path = arena_strdup(file->arena, path);
  source->text = text;
  ARENA_PUSH(file->arena, file->sources, file->n_sources, file->cap_sources, source);
  strmap_set(file->by_name, name, source);
  diag_add_source(loader->diag, path, text);
  ParseContext ctx;
  source_parse(&ctx, file->arena, source, loader->diag);
  return source;
}

// meta_unet for models/meta_unet.net
static const char *name_of_path(Arena *arena, const char *path) {
  const char *slash = strrchr(path, '/');
  const char *base = slash ? slash + 1 : path;
  size_t n = strlen(base);
  if (n > 4 && !strcmp(base + n - 4, ".net")) n -= 4;
  return arena_strndup(arena, base, n);
}

static const char *directory_of(Arena *arena, const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return "";
  return arena_strndup(arena, path, (size_t)(slash - path) + 1);
}

// The path of NAME.net for a `use` in `user`, or NULL.
static const char *search(Loader *loader, const Source *user, const char *name) {
  Arena *arena = loader->file->arena;
  const char *path = arena_printf(arena, "%s%s.net", directory_of(arena, user->path), name);
  if (file_exists(path)) return path;
  for (int i = 0; loader->paths && i < loader->paths->n; i++) {
    path = arena_printf(arena, "%s/%s.net", loader->paths->directories[i], name);
    if (file_exists(path)) return path;
  }
  return NULL;
}

static const char *bundled(const LangBundle *bundle, const char *name) {
  for (int i = 1; i < bundle->n; i++)
    if (!strcmp(bundle->names[i], name)) return bundle->texts[i];
  return NULL;
}

static void say_missing(Loader *loader, const Source *user, Name name) {
  diag_error(loader->diag, name.loc, "there is no file '%s.net'", name.text);
  if (loader->paths && loader->paths->bundle) {
    diag_note(loader->diag, (SrcLoc){0}, "the bundle holds %d files", loader->paths->bundle->n);
    return;
  }
  const char *directory = directory_of(loader->file->arena, user->path);
  diag_note(loader->diag, (SrcLoc){0}, "searched in %s", *directory ? directory : "the present directory");
  for (int i = 0; loader->paths && i < loader->paths->n; i++)
    diag_note(loader->diag, (SrcLoc){0}, "searched in %s", loader->paths->directories[i]);
}

static Source *load_used(Loader *loader, const Source *user, Name name) {
  Source *known = strmap_get(loader->file->by_name, name.text);
  if (known) return known;
  Arena *arena = loader->file->arena;
  if (loader->paths && loader->paths->bundle) {
    const char *text = bundled(loader->paths->bundle, name.text);
    if (text) return add_source(loader, name.text, arena_printf(arena, "%s.net", name.text), arena_strdup(arena, text));
    say_missing(loader, user, name);
    return NULL;
  }
  const char *path = search(loader, user, name.text);
  if (!path) {
    say_missing(loader, user, name);
    return NULL;
  }
  Text text = {0};
  Status status = file_read(path, &text);
  if (status) {
    diag_error(loader->diag, name.loc, "%s", status_message(status));
    status_free(status);
    text_free(&text);
    return NULL;
  }
  const char *kept = keep_text(loader, path, &text);
  text_free(&text);
  return kept ? add_source(loader, name.text, path, kept) : NULL;
}

static Source *load_main(Loader *loader, const char *path) {
  Arena *arena = loader->file->arena;
  const LangBundle *bundle = loader->paths ? loader->paths->bundle : NULL;
  if (bundle && bundle->n > 0)
    return add_source(loader, name_of_path(arena, bundle->names[0]), bundle->names[0],
                      arena_strdup(arena, bundle->texts[0]));
  Text text = {0};
  Status status = file_read(path, &text);
  if (status) {
    diag_error(loader->diag, (SrcLoc){0}, "%s", status_message(status));
    status_free(status);
    text_free(&text);
    return NULL;
  }
  const char *kept = keep_text(loader, path, &text);
  text_free(&text);
  return kept ? add_source(loader, name_of_path(arena, path), path, kept) : NULL;
}

LangFile *lang_load(Arena *arena, const char *path, const LangPaths *paths, Diag *diag) {
  LangFile *file = ARENA_ARRAY(arena, LangFile, 1);
  file->arena = arena;
  file->by_name = strmap_new(arena);
  Loader loader = {file, paths, diag};
  int n_before = diag_errors(diag);
  if (!load_main(&loader, path)) return NULL;
  // The list grows while it is walked: what a used file uses is loaded in turn, each file once.
  for (int i = 0; i < file->n_sources; i++) {
    Source *source = file->sources[i];
    source->used = ARENA_ARRAY(arena, Source *, source->uses.n + 1);
    for (int k = 0; k < source->uses.n; k++) source->used[k] = load_used(&loader, source, source->uses.items[k].file);
  }
  if (diag_errors(diag) > n_before) return NULL;
  scope_build(file, diag);
  if (diag_errors(diag) > n_before) return NULL;
  check_file(file, diag);
  models_collect(file, diag);
  studies_collect(file, diag);
  return diag_errors(diag) > n_before ? NULL : file;
}

LangBundle lang_bundle(const LangFile *file) {
  const char **names = ARENA_ARRAY(file->arena, const char *, file->n_sources);
  const char **texts = ARENA_ARRAY(file->arena, const char *, file->n_sources);
  for (int i = 0; i < file->n_sources; i++) {
    names[i] = i ? file->sources[i]->name : file->sources[i]->path;
    texts[i] = file->sources[i]->text;
  }
  return (LangBundle){file->n_sources, names, texts};
}
