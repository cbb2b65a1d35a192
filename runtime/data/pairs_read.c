// Pairs read from what names them: recognising a data set, NYU lists and CSV files.
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/base/file.h"
#include "runtime/data/pairs.h"

// The part of a picture's path that tells its scene: the last directory, without the letter of the recording.
static char *group_of(const char *path) {
  char *directory = path_directory(path);
  const char *slash = strrchr(directory, '/');
  char *out = strdup(!strcmp(directory, ".") ? "" : slash ? slash + 1 : directory);
  if (!out) BUG("out of memory");
  free(directory);
  size_t n = strlen(out);
  if (n > 1 && islower((unsigned char)out[n - 1]) && isdigit((unsigned char)out[n - 2])) out[n - 1] = 0;
  return out;
}

// A comment's "depth_scale=N" states the unit of all files.
static Status read_comment(const char *path, int line, const char *text, Pairs *out) {
  const char *at = strstr(text, "depth_scale=");
  if (!at) return STATUS_OK;
  double scale = atof(at + strlen("depth_scale="));
  if (!(scale > 0 && scale <= 1e6))
    return status_make(EXIT_DATA, "%s:%d: the depth_scale is no number of values a metre", path, line);
  out->depth_scale = scale;
  return STATUS_OK;
}

static void add_row(Pairs *out, const char *rgb, const char *depth, const char *group, Split split) {
  char *picture = path_under(out->root, rgb), *map = path_under(out->root, depth);
  char *found = *group ? NULL : group_of(rgb);
  pairs_add(out, rgb, picture, map, found ? found : group, split);
  free(found);
  free(picture);
  free(map);
}

// ---- NYU lists ----

Status pairs_read_list(const char *path, const char *text, Pairs *out) {
  if (!(out->depth_scale > 0)) out->default_scale = 1000; // MODELS.md section 12: millimetres
  char *copy = strdup(text), *rest = copy;
  if (!copy) BUG("out of memory");
  Status status = STATUS_OK;
  for (int line = 1; rest && !status; line++) {
    char *row = strsep(&rest, "\n"), *save = NULL;
    if (*row == '#') {
      status = read_comment(path, line, row, out);
      continue;
    }
    char *rgb = strtok_r(row, " \t\r", &save), *depth = strtok_r(NULL, " \t\r", &save);
    if (!rgb) continue;
    if (!depth) {
      status =
          status_make(EXIT_DATA, "%s:%d: '%.60s' stands alone; a line is 'rgb_path depth_path focal'", path, line, rgb);
    } else if (!strcmp(depth, "None")) { // as lists of KITTI have it
      out->n_unpaired++;
    } else {
      add_row(out, rgb + strspn(rgb, "/"), depth + strspn(depth, "/"), "", SPLIT_NONE);
    }
  }
  free(copy);
  return status;
}

// ---- CSV ----

enum { MAX_FIELDS = 16 };

// Splits a row in place at its commas; fields may be quoted, with "" for a quote. Returns the number of fields.
static int split_row(char *row, char *field[MAX_FIELDS]) {
  int n = 0;
  for (char *at = row; n < MAX_FIELDS;) {
    while (*at == ' ' || *at == '\t') at++;
    char *to = at;
    field[n++] = to;
    bool is_quoted = *at == '"';
    if (is_quoted) at++;
    for (; *at && (is_quoted || *at != ','); at++) {
      if (is_quoted && *at == '"') {
        if (at[1] != '"') {
          is_quoted = false;
          continue;
        }
        at++;
      }
      *to++ = *at;
    }
    bool is_last = !*at;
    at++;
    while (to > field[n - 1] && isspace((unsigned char)to[-1])) to--;
    *to = 0;
    if (is_last) break;
  }
  return n;
}

typedef struct Columns {
  int rgb, depth, split, group; // -1 = none
} Columns;

// The places of the columns if the row is a header, which it is if it names a picture and a depth column.
static bool read_header(char *const *field, int n, Columns *out) {
  Columns columns = {-1, -1, -1, -1};
  for (int i = 0; i < n; i++) {
    if (!strcasecmp(field[i], "rgb") || !strcasecmp(field[i], "image") || !strcasecmp(field[i], "picture"))
      columns.rgb = i;
    if (!strcasecmp(field[i], "depth")) columns.depth = i;
    if (!strcasecmp(field[i], "split")) columns.split = i;
    if (!strcasecmp(field[i], "group") || !strcasecmp(field[i], "scene")) columns.group = i;
  }
  if (columns.rgb < 0 || columns.depth < 0) return false;
  *out = columns;
  return true;
}

// The complaint about a first row that looks like a header, but not like one of ours; STATUS_OK for a row of paths.
static Status foreign_header(const char *path, int line, char *const *field, int n) {
  Text names = {0};
  for (int i = 0; i < n; i++) {
    bool is_path = strpbrk(field[i], "./") != NULL;
    if (is_path) {
      text_free(&names);
      return STATUS_OK;
    }
    text_printf(&names, "%s'%.40s'", i ? ", " : "", field[i]);
  }
  Status status = status_make(EXIT_DATA, "%s:%d: the columns are called %s; 'rgb' and 'depth' are needed", path, line,
                              text_get(&names));
  text_free(&names);
  return status;
}

static Status read_row(const char *path, int line, char *const *field, int n, const Columns *c, Split split,
                       Pairs *out) {
  if (c->rgb >= n || c->depth >= n || !*field[c->rgb])
    return status_make(EXIT_DATA, "%s:%d: a row is 'rgb,depth' or 'rgb,depth,split'", path, line);
  if (!*field[c->depth]) {
    out->n_unpaired++;
    return STATUS_OK;
  }
  const char *name = c->split >= 0 && c->split < n ? field[c->split] : "";
  if (*name && !split_find(name, &split))
    return status_make(EXIT_DATA, "%s:%d: there is no split '%.40s'; there are train, val and test", path, line, name);
  add_row(out, field[c->rgb], field[c->depth], c->group >= 0 && c->group < n ? field[c->group] : "", split);
  return STATUS_OK;
}

Status pairs_read_csv(const char *path, const char *text, Split split, Pairs *out) {
  char *copy = strdup(text), *rest = copy;
  if (!copy) BUG("out of memory");
  if (!strncmp(rest, "\xef\xbb\xbf", 3)) rest += 3;
  Columns columns = {0, 1, 2, 3};
  bool is_first = true;
  Status status = STATUS_OK;
  for (int line = 1; rest && !status; line++) {
    char *row = strsep(&rest, "\n"), *field[MAX_FIELDS];
    if (*row == '#') {
      status = read_comment(path, line, row, out);
      continue;
    }
    int n = split_row(row, field);
    if (n == 1 && !*field[0]) continue;
    bool is_header = is_first && read_header(field, n, &columns);
    if (is_first && !is_header) status = foreign_header(path, line, field, n);
    if (!status && !is_header) status = read_row(path, line, field, n, &columns, split, out);
    is_first = false;
  }
  free(copy);
  return status;
}

// ---- Recognising ----

static bool has(const char *directory, const char *name, bool wants_directory) {
  char *path = path_under(directory, name);
  bool found = wants_directory ? file_is_directory(path) : file_exists(path);
  free(path);
  return found;
}

// The lists beside each other that `data split` writes.
static Status read_split_lists(const char *directory, Pairs *out) {
  Status status = STATUS_OK;
  for (int split = SPLIT_TRAIN; split <= SPLIT_TEST && !status; split++) {
    char name[16];
    snprintf(name, sizeof name, "%s.csv", split_name((Split)split));
    if (!has(directory, name, false)) continue;
    char *path = path_under(directory, name);
    Text text = {0};
    status = file_read(path, &text);
    if (!status) status = pairs_read_csv(path, text_get(&text), (Split)split, out);
    text_free(&text);
    free(path);
  }
  return status;
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

// The refusal of a folder that is no data set, with the first things that it holds.
static Status no_data_set(const char *path) {
  enum { SHOWN = 5 };
  struct dirent **entries = NULL;
  int n = scandir(path, &entries, is_visible, alphasort);
  Text holds = {0};
  for (int i = 0; i < n; i++) {
    if (i < SHOWN)
      text_printf(&holds, "%s%.60s%s", i ? ", " : "", entries[i]->d_name,
                  has(path, entries[i]->d_name, true) ? "/" : "");
    free(entries[i]);
  }
  free(entries);
  Status status =
      status_make(EXIT_DATA,
                  "'%s' is no data set: it needs rgb/ (or images/) and depth/, a dataset.json, a train.csv, "
                  "or scenes with rgb_N.jpg and sync_depth_N.png as NYU Depth v2 has them; it holds %s%s",
                  path, n > 0 ? text_get(&holds) : "nothing", n > SHOWN ? ", ..." : "");
  text_free(&holds);
  return status;
}

static Status read_directory(const char *path, bool uses_manifest, Pairs *out) {
  if (uses_manifest && has(path, "dataset.json", false)) {
    out->kind = "manifest";
    char *manifest = path_under(path, "dataset.json");
    Text text = {0};
    Status status = file_read(manifest, &text);
    if (!status) status = pairs_read_manifest(manifest, text_get(&text), out);
    text_free(&text);
    free(manifest);
    return status;
  }
  if (has(path, "train.csv", false)) {
    out->kind = "CSV";
    return read_split_lists(path, out);
  }
  if (has(path, "depth", true) && (has(path, "rgb", true) || has(path, "images", true))) {
    out->kind = "folder";
    return pairs_read_folder(path, out);
  }
  out->kind = "NYU folders";
  TRY(pairs_read_nyu(path, out));
  return out->n ? STATUS_OK : no_data_set(path);
}

static Status read_file(const char *path, Pairs *out) {
  Text text = {0};
  Status status = file_read(path, &text);
  const char *data = text_get(&text);
  size_t start = strspn(data, "\xef\xbb\xbf \t\r\n");
  if (status) {
    text_free(&text);
    return status;
  }
  // The first row that is not a comment decides between CSV and list.
  const char *row = data + start;
  while (*row == '#') row += strcspn(row, "\n") + (strchr(row, '\n') != NULL);
  size_t length = strcspn(row, "\n");
  if (!strncmp(data, "MATLAB 7.3 MAT-file", 19) || !strncmp(data, "\x89HDF", 4)) {
    status = status_make(EXIT_DATA, "'%s' is a labelled .mat file; unpack it first: sgrun data import nyu %s DIR", path,
                         path);
  } else if (strlen(data) != text.size) {
    status = status_make(EXIT_DATA, "'%s' is neither a list of pairs nor a directory", path);
  } else if (data[start] == '{') {
    out->kind = "manifest";
    status = pairs_read_manifest(path, data, out);
  } else if (memchr(row, ',', length)) {
    out->kind = "CSV";
    status = pairs_read_csv(path, data, SPLIT_NONE, out);
  } else {
    out->kind = "list";
    status = pairs_read_list(path, data, out);
  }
  text_free(&text);
  if (!status && out->n == 0) status = status_make(EXIT_DATA, "'%s' names no pairs", path);
  return status;
}

static Status open_any(const char *path, const char *root, double depth_scale, bool uses_manifest, Pairs *out) {
  *out = (Pairs){0};
  if (!file_exists(path)) return status_make(EXIT_DATA, "there is no file or folder '%s'", path);
  bool is_directory = file_is_directory(path);
  out->path = strdup(path);
  out->root = root ? strdup(root) : is_directory ? strdup(path) : path_directory(path);
  if (!out->path || !out->root) BUG("out of memory");
  Status status = is_directory ? read_directory(path, uses_manifest, out) : read_file(path, out);
  if (depth_scale > 0) out->depth_scale = depth_scale;
  if (status) pairs_free(out);
  return status;
}

Status pairs_open(const char *path, const char *root, double depth_scale, Pairs *out) {
  return open_any(path, root, depth_scale, true, out);
}

Status pairs_open_layout(const char *path, const char *root, double depth_scale, Pairs *out) {
  return open_any(path, root, depth_scale, false, out);
}
