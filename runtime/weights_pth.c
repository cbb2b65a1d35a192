// Weights: PyTorch files: the tensors of what torch.save wrote, in the old container and the new one.
//
// Both hold a pickle whose tensors are calls of torch._utils._rebuild_tensor_v2 on storages kept elsewhere: in the new
// container (a zip archive) as entries data/KEY beside data.pkl, in the old one behind the pickles, one after another.
#include <stdio.h>
#include <string.h>

#include "runtime/base/text.h"
#include "runtime/weights_file.h"
#include "runtime/weights_pickle.h"
#include "runtime/weights_zip.h"

enum { MAX_DEPTH = 16, GATHER_SLACK = 64 << 20 };

static const struct {
  const char *name;
  WeightType type;
} storages[] = {{"torch.FloatStorage", WEIGHT_F32},      {"torch.DoubleStorage", WEIGHT_F64},
                {"torch.HalfStorage", WEIGHT_F16},       {"torch.BFloat16Storage", WEIGHT_BF16},
                {"torch.LongStorage", WEIGHT_I64},       {"torch.IntStorage", WEIGHT_I32},
                {"torch.ShortStorage", WEIGHT_I16},      {"torch.CharStorage", WEIGHT_I8},
                {"torch.ByteStorage", WEIGHT_U8},        {"torch.BoolStorage", WEIGHT_BOOL},
                {"torch.cuda.FloatStorage", WEIGHT_F32}, {"torch.cuda.DoubleStorage", WEIGHT_F64},
                {"torch.cuda.HalfStorage", WEIGHT_F16},  {"torch.cuda.BFloat16Storage", WEIGHT_BF16},
                {"torch.cuda.LongStorage", WEIGHT_I64},  {"torch.cuda.IntStorage", WEIGHT_I32},
                {"torch.cuda.ShortStorage", WEIGHT_I16}, {"torch.cuda.CharStorage", WEIGHT_I8},
                {"torch.cuda.ByteStorage", WEIGHT_U8},   {"torch.cuda.BoolStorage", WEIGHT_BOOL}};
enum { N_STORAGES = sizeof storages / sizeof *storages };

static const char rebuild_v1[] = "torch._utils._rebuild_tensor", rebuild_v2[] = "torch._utils._rebuild_tensor_v2",
                  parameter[] = "torch._utils._rebuild_parameter", size_tuple[] = "torch.Size";

typedef struct Storage {
  WeightType type;
  int64_t n;        // elements
  const char *data; // NULL until its place is known
} Storage;

typedef struct Reader {
  WeightFile *file;
  ZipArchive *zip;
  StrMap *storages;
  Text name;       // of the value being walked
  int64_t visits;  // values that may still be walked: a pickle can share parts so that walking it takes forever
  int64_t gathers; // bytes that may still be copied for tensors that do not lie in rows
} Reader;

static Status pickle(Reader *reader, const char *bytes, int64_t size, Pickle *out) {
  const char *allowed[N_STORAGES + 5] = {rebuild_v1, rebuild_v2, parameter, size_tuple};
  for (int i = 0; i < N_STORAGES; i++) allowed[4 + i] = storages[i].name;
  return pickle_read(reader->file->arena, bytes, size, allowed, out);
}

static bool is_count(const PickleValue *value) {
  return value->kind == PICKLE_INT && value->number >= 0 && value->number < (int64_t)1 << 48;
}

// ---- storages

// ('storage', type, key, device, elements) and in the old container a view: (view key, offset, elements) or None.
static Status check_storage(const PickleValue *persistent) {
  const PickleValue *id = persistent->item[0];
  if (id->kind != PICKLE_TUPLE || id->n < 5 || !pickle_is_text(id->item[0], "storage") ||
      id->item[1]->kind != PICKLE_GLOBAL || id->item[2]->kind != PICKLE_TEXT || !is_count(id->item[4]) ||
      strlen(id->item[2]->text) != (size_t)id->item[2]->n || id->item[2]->n > 64)
    return status_make(EXIT_WEIGHTS, "a tensor lies in a storage of an unknown form");
  return STATUS_OK;
}

// Enters every storage that the pickle names; their places come later.
static Status collect_storages(Reader *reader, const Pickle *tree) {
  for (int64_t i = 0; i < tree->n_persistent; i++) {
    TRY(check_storage(tree->persistent[i]));
    PickleValue *const *id = tree->persistent[i]->item[0]->item;
    int type = 0;
    while (type < N_STORAGES && !pickle_is_global(id[1], storages[type].name)) type++;
    if (type == N_STORAGES) return status_make(EXIT_WEIGHTS, "'%s' is no type of storage", id[1]->text);
    const Storage *known = strmap_get(reader->storages, id[2]->text);
    if (known && (known->type != storages[type].type || known->n != id[4]->number))
      return status_make(EXIT_WEIGHTS, "the storage '%s' has two types or sizes", id[2]->text);
    if (known) continue;
    Storage *storage = ARENA_ARRAY(reader->file->arena, Storage, 1);
    *storage = (Storage){storages[type].type, id[4]->number, NULL};
    strmap_set(reader->storages, id[2]->text, storage);
  }
  return STATUS_OK;
}

// ---- tensors

static bool is_shape(const PickleValue *value) {
  if (value->kind == PICKLE_CALL && pickle_is_global(value->item[0], size_tuple) && value->item[1]->n == 1)
    value = value->item[1]->item[0];
  if (value->kind != PICKLE_TUPLE || value->n > MAX_RANK) return false;
  for (int64_t i = 0; i < value->n; i++)
    if (!is_count(value->item[i])) return false;
  return true;
}

static Shape shape_from(const PickleValue *value) {
  if (value->kind == PICKLE_CALL) value = value->item[1]->item[0];
  Shape shape = {.rank = (int)value->n};
  for (int i = 0; i < shape.rank; i++) shape.dim[i] = value->item[i]->number;
  return shape;
}

static bool is_row_major(const Shape *shape, const Shape *stride) {
  int64_t expected = 1;
  for (int axis = shape->rank; axis-- > 0;) {
    if (shape->dim[axis] != 1 && stride->dim[axis] != expected) return false;
    expected *= shape->dim[axis];
  }
  return true;
}

// Whether all elements lie within a storage of n elements, counted from `offset`.
static bool is_within(const Shape *shape, const Shape *stride, int64_t offset, int64_t n) {
  int64_t last = offset;
  if (offset >= n) return false;
  for (int axis = 0; axis < shape->rank; axis++) {
    int64_t steps = shape->dim[axis] - 1;
    if (steps && stride->dim[axis] > (n - 1 - last) / steps) return false;
    last += steps * stride->dim[axis];
  }
  return true;
}

static void gather(const char *data, const Shape *shape, const Shape *stride, int bytes, char *out) {
  int64_t index[MAX_RANK] = {0}, n = shape_elements(*shape);
  for (int64_t i = 0, at = 0; i < n; i++, out += bytes) {
    memcpy(out, data + at * bytes, (size_t)bytes);
    for (int axis = shape->rank; axis-- > 0;) {
      at += stride->dim[axis];
      if (++index[axis] < shape->dim[axis]) break;
      at -= stride->dim[axis] * shape->dim[axis];
      index[axis] = 0;
    }
  }
}

// The storage of a tensor; a view in the old container is a part of it.
static Status find_storage(const Reader *reader, const PickleValue *persistent, Storage *out) {
  const PickleValue *id = persistent->item[0], *view = id->n > 5 ? id->item[5] : NULL;
  const Storage *storage = strmap_get(reader->storages, id->item[2]->text);
  if (!storage || !storage->data)
    return status_make(EXIT_WEIGHTS, "tensor '%s' lies in a storage that the file lacks", text_get(&reader->name));
  *out = *storage;
  if (!view || view->kind == PICKLE_NONE) return STATUS_OK;
  if (view->kind != PICKLE_TUPLE || view->n != 3 || !is_count(view->item[1]) || !is_count(view->item[2]) ||
      view->item[1]->number > storage->n || view->item[2]->number > storage->n - view->item[1]->number)
    return status_make(EXIT_WEIGHTS, "tensor '%s' lies outside its storage", text_get(&reader->name));
  out->data += view->item[1]->number * weight_type_bytes(storage->type);
  out->n = view->item[2]->number;
  return STATUS_OK;
}

// (storage, offset, shape, strides, ...)
static Status add_tensor(Reader *reader, const PickleValue *args) {
  const char *name = text_get(&reader->name);
  if (args->n < 4 || args->item[0]->kind != PICKLE_PERSISTENT || !is_count(args->item[1]) || !is_shape(args->item[2]) ||
      !is_shape(args->item[3]))
    return status_make(EXIT_WEIGHTS, "tensor '%s' has an unknown form or an impossible shape", name);
  Storage storage = {0};
  TRY(find_storage(reader, args->item[0], &storage));
  Shape shape = shape_from(args->item[2]), stride = shape_from(args->item[3]);
  int64_t n = weights_file_elements(&shape), offset = args->item[1]->number;
  int bytes = weight_type_bytes(storage.type);
  if (n < 0 || shape.rank != stride.rank) return status_make(EXIT_WEIGHTS, "tensor '%s' has an impossible shape", name);
  if (n && !is_within(&shape, &stride, offset, storage.n))
    return status_make(EXIT_WEIGHTS, "tensor '%s' reaches outside its storage", name);
  const char *data = n ? storage.data + offset * bytes : "";
  if (n && !is_row_major(&shape, &stride)) {
    if (n * bytes > reader->gathers)
      return status_make(EXIT_WEIGHTS, "tensor '%s' repeats few values to an impossible size", name);
    reader->gathers -= n * bytes;
    char *rows = arena_alloc(reader->file->arena, (size_t)(n * bytes));
    gather(data, &shape, &stride, bytes, rows);
    data = rows;
  }
  return weights_file_add(reader->file, *name ? name : "tensor", storage.type, shape, data);
}

static Status walk(Reader *reader, PickleValue *value, int depth);

// One member, under the name so far and its own.
static Status walk_member(Reader *reader, const PickleValue *key, int64_t index, PickleValue *value, int depth) {
  if (reader->visits-- <= 0) return status_make(EXIT_WEIGHTS, "the pickle shares its parts without end");
  if (value->kind < PICKLE_TUPLE || value->kind == PICKLE_GLOBAL) return STATUS_OK; // no tensor in there
  size_t length = reader->name.size;
  if (length) text_put(&reader->name, ".");
  if (key && key->kind == PICKLE_TEXT && key->n <= 1024 && strlen(key->text) == (size_t)key->n)
    text_put(&reader->name, key->text);
  else if (!key || key->kind == PICKLE_INT) text_printf(&reader->name, "%lld", (long long)(key ? key->number : index));
  else return status_make(EXIT_WEIGHTS, "a dictionary's key is neither a name nor a number");
  TRY(walk(reader, value, depth));
  reader->name.size = length;
  if (reader->name.data) reader->name.data[length] = 0;
  return STATUS_OK;
}

// Adds every tensor of a tree.
static Status walk(Reader *reader, PickleValue *value, int depth) {
  if (value->kind == PICKLE_CALL) {
    const PickleValue *function = value->item[0], *args = value->item[1];
    if (pickle_is_global(function, rebuild_v2) || pickle_is_global(function, rebuild_v1))
      return add_tensor(reader, args);
    if (pickle_is_global(function, parameter) && args->n && depth < MAX_DEPTH)
      return walk(reader, args->item[0], depth + 1);
    if (pickle_is_global(function, size_tuple)) return STATUS_OK;
    return status_make(EXIT_WEIGHTS, "'%s' is called in an unknown way", function->text);
  }
  if (value->kind != PICKLE_DICT && value->kind != PICKLE_LIST && value->kind != PICKLE_TUPLE) return STATUS_OK;
  if (value->is_open) return status_make(EXIT_WEIGHTS, "'%s' contains itself", text_get(&reader->name));
  if (depth >= MAX_DEPTH) return status_make(EXIT_WEIGHTS, "dictionaries stand more than %d deep", MAX_DEPTH);
  value->is_open = true;
  bool is_dict = value->kind == PICKLE_DICT;
  for (int64_t i = 0; i < value->n; i += is_dict ? 2 : 1)
    TRY(is_dict ? walk_member(reader, value->item[i], i, value->item[i + 1], depth + 1)
                : walk_member(reader, NULL, i, value->item[i], depth + 1));
  value->is_open = false;
  return STATUS_OK;
}

static Status add_tensors(Reader *reader, const Pickle *tree) {
  int64_t size = reader->file->size;
  reader->visits = tree->n_operations + 1000;
  reader->gathers = GATHER_SLACK + size;
  TRY(walk(reader, tree->root, 0));
  if (!reader->file->n_tensors) return status_make(EXIT_WEIGHTS, "the file holds no tensors");
  return STATUS_OK;
}

// ---- the new container

// The folder in the archive that holds data.pkl, with its slash; NULL where there is none.
static const char *zip_folder(Reader *reader) {
  for (int i = 0; i < zip_count(reader->zip); i++) {
    const char *name = zip_name(reader->zip, i), *slash = strchr(name, '/');
    if (slash && !strcmp(slash + 1, "data.pkl"))
      return arena_strndup(reader->file->arena, name, (size_t)(slash + 1 - name));
  }
  return NULL;
}

static bool zip_has(const ZipArchive *zip, const char *folder, const char *name) {
  size_t length = strlen(folder);
  for (int i = 0; i < zip_count(zip); i++)
    if (!strncmp(zip_name(zip, i), folder, length) && !strcmp(zip_name(zip, i) + length, name)) return true;
  return false;
}

static Status load_entry(Reader *reader, const char *folder, const char *key, Storage *storage) {
  int64_t size;
  const char *name = arena_printf(reader->file->arena, "%sdata/%s", folder, key), *data;
  TRY(zip_entry(reader->zip, name, &data, &size));
  if (size / weight_type_bytes(storage->type) < storage->n)
    return status_make(EXIT_WEIGHTS, "the storage '%s' has %lld bytes, too few for its %lld elements", name,
                       (long long)size, (long long)storage->n);
  storage->data = data;
  return STATUS_OK;
}

static Status read_archive(Reader *reader) {
  const char *folder = zip_folder(reader), *bytes;
  int64_t size;
  if (!folder) return status_make(EXIT_WEIGHTS, "a zip archive, but not of PyTorch: it has no data.pkl");
  if (zip_has(reader->zip, folder, "constants.pkl"))
    return status_make(EXIT_WEIGHTS, "a TorchScript archive, which is a program; save the module's state_dict instead");
  Arena *arena = reader->file->arena;
  if (zip_has(reader->zip, folder, "byteorder")) {
    TRY(zip_entry(reader->zip, arena_printf(arena, "%sbyteorder", folder), &bytes, &size));
    if (size != 6 || memcmp(bytes, "little", 6)) return status_make(EXIT_WEIGHTS, "its bytes are in big-endian order");
  }
  TRY(zip_entry(reader->zip, arena_printf(arena, "%sdata.pkl", folder), &bytes, &size));
  Pickle tree;
  TRY(pickle(reader, bytes, size, &tree));
  TRY(collect_storages(reader, &tree));
  for (int i = 0; i < strmap_count(reader->storages); i++)
    TRY(load_entry(reader, folder, strmap_key(reader->storages, i), strmap_value(reader->storages, i)));
  return add_tensors(reader, &tree);
}

// ---- the old container: five pickles (magic number, version, system, object, storage keys), then the storages

static const char magic[] = {0x6c, (char)0xfc, (char)0x9c, 0x46, (char)0xf9, 0x20, 0x6a, (char)0xa8, 0x50, 0x19};

static Status next_pickle(Reader *reader, int64_t *at, Pickle *out) {
  TRY(pickle(reader, reader->file->map + *at, reader->file->size - *at, out));
  *at += out->size;
  return STATUS_OK;
}

// Each storage is preceded by its number of elements.
static Status place_storages(Reader *reader, const PickleValue *keys, int64_t at) {
  const WeightFile *file = reader->file;
  if (keys->kind != PICKLE_LIST) return status_make(EXIT_WEIGHTS, "the list of storages is missing");
  for (int64_t i = 0; i < keys->n; i++) {
    const PickleValue *key = keys->item[i];
    Storage *storage = key->kind == PICKLE_TEXT ? strmap_get(reader->storages, key->text) : NULL;
    if (!storage || storage->data) return status_make(EXIT_WEIGHTS, "the list of storages does not fit the tensors");
    int64_t n = -1;
    if (file->size - at >= 8) memcpy(&n, file->map + at, 8);
    at += 8;
    if (n < 0 || n > (file->size - at) / weight_type_bytes(storage->type))
      return status_make(EXIT_WEIGHTS, "the storage '%s' reaches past the end of the file; the file is truncated",
                         key->text);
    if (n != storage->n)
      return status_make(EXIT_WEIGHTS, "the storage '%s' has %lld elements where %lld are said to be", key->text,
                         (long long)n, (long long)storage->n);
    storage->data = file->map + at;
    at += n * weight_type_bytes(storage->type);
  }
  return STATUS_OK;
}

static Status read_legacy(Reader *reader) {
  Pickle number, version, system, tree, keys;
  int64_t at = 0;
  TRY(next_pickle(reader, &at, &number));
  if (number.root->kind != PICKLE_BIG || number.root->n != sizeof magic ||
      memcmp(number.root->text, magic, sizeof magic))
    return status_make(EXIT_WEIGHTS, "a Python pickle, but not one that torch.save wrote");
  TRY(next_pickle(reader, &at, &version));
  if (version.root->kind != PICKLE_INT || version.root->number != 1001)
    return status_make(EXIT_WEIGHTS, "an unknown version of PyTorch's old container");
  TRY(next_pickle(reader, &at, &system));
  const PickleValue *is_little = pickle_member(system.root, "little_endian");
  if (is_little && is_little->kind == PICKLE_BOOL && !is_little->number)
    return status_make(EXIT_WEIGHTS, "its bytes are in big-endian order");
  TRY(next_pickle(reader, &at, &tree));
  TRY(collect_storages(reader, &tree));
  TRY(next_pickle(reader, &at, &keys));
  TRY(place_storages(reader, keys.root, at));
  return add_tensors(reader, &tree);
}

// ---- either

static bool is_archive(const char *bytes, int64_t size) { return size >= 4 && !memcmp(bytes, "PK\3\4", 4); }

// A safetensors file begins with the length of its header, which can look like a pickle's first bytes.
bool weights_is_pth(const char *bytes, int64_t size) {
  if (size > 8 && bytes[8] == '{' && !memcmp(bytes + 4, "\0\0\0", 4)) return false;
  return is_archive(bytes, size) || (size >= 2 && (unsigned char)bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5);
}

Status weights_read_pth(WeightFile *file) {
  Reader reader = {.file = file, .storages = strmap_new(file->arena)};
  bool is_zip = is_archive(file->map, file->size);
  file->format = is_zip ? "PyTorch zip" : "PyTorch legacy";
  Status status = is_zip ? zip_open(file->arena, file->map, file->size, &reader.zip) : STATUS_OK;
  if (!status) status = is_zip ? read_archive(&reader) : read_legacy(&reader);
  zip_close(reader.zip);
  text_free(&reader.name);
  return status;
}
