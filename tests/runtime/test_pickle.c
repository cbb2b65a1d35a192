// PyTorch files: the pickle machine on hand-made bytes, both containers, and files made to do harm.
#include <minizip/zip.h>
#include <zlib.h>

#include "runtime/base/file.h"
#include "runtime/weights_file.h"
#include "runtime/weights_pickle.h"
#include "tests/check.h"
#include "tests/runtime/scratch.h"

// ---- writing pickles by hand: the operations' letters are those of Python's pickletools

static void put_bytes(Text *out, const char *bytes, size_t n) { text_write(out, bytes, n); }
#define PUT(out, literal) put_bytes((out), (literal), sizeof(literal) - 1)

static void put_int(Text *out, int32_t value) { // BININT
  PUT(out, "J");
  put_bytes(out, (const char *)&value, 4);
}

static void put_name(Text *out, const char *name) { // BINUNICODE
  uint32_t n = (uint32_t)strlen(name);
  PUT(out, "X");
  put_bytes(out, (const char *)&n, 4);
  put_bytes(out, name, n);
}

static void put_ints(Text *out, const int32_t *values, int n) {
  PUT(out, "(");
  for (int i = 0; i < n; i++) put_int(out, values[i]);
  PUT(out, "t");
}

typedef struct Wanted {
  const char *name, *type; // of the storage: "Float"
  int32_t elements, offset, rank, shape[MAX_RANK], stride[MAX_RANK];
} Wanted;

// A tensor on the storage of key "0"; `view` is what the old container adds to the storage's identifier.
static void put_tensor(Text *out, const Wanted *wanted, const char *view) {
  PUT(out, "ctorch._utils\n_rebuild_tensor_v2\n((");
  put_name(out, "storage");
  text_printf(out, "ctorch\n%sStorage\n", wanted->type);
  put_name(out, "0");
  put_name(out, "cpu");
  put_int(out, wanted->elements);
  put_bytes(out, view, strlen(view));
  PUT(out, "tQ");
  put_int(out, wanted->offset);
  put_ints(out, wanted->shape, wanted->rank);
  put_ints(out, wanted->stride, wanted->rank);
  PUT(out, "\x89"
           "ccollections\nOrderedDict\n)RtR");
}

// {name: tensor}
static void put_dict(Text *out, const Wanted *wanted, const char *view) {
  PUT(out, "\x80\2}(");
  put_name(out, wanted->name);
  put_tensor(out, wanted, view);
  PUT(out, "u.");
}

static const float values[6] = {1, 2, 3, 4, 5, 6};

// The old container around an object's pickle, with one storage of six floats.
static void put_legacy(Text *out, const char *object, size_t n) {
  PUT(out, "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.");
  PUT(out, "\x80\2M\xe9\3.");
  PUT(out, "\x80\2}(X\x0d\0\0\0little_endian\x88u.");
  put_bytes(out, object, n);
  PUT(out, "\x80\2](X\1\0\0\0"
           "0e.");
  PUT(out, "\6\0\0\0\0\0\0\0");
  put_bytes(out, (const char *)values, sizeof values);
}

// Thousands are written, so none waits for the disk: not by file_write, nor by truncating an old file.
static const char *write_bytes(const char *name, const char *bytes, size_t n) {
  const char *path = scratch_path(name);
  remove(path);
  FILE *file = fopen(path, "wb");
  bool is_written = file && fwrite(bytes, 1, n, file) == n;
  CHECK(file && !fclose(file) && is_written, "cannot write %s", path);
  return path;
}

static void put_entry(zipFile zip, const char *name, const void *bytes, size_t n, int level) {
  zip_fileinfo info = {0};
  int method = level ? Z_DEFLATED : 0;
  CHECK(!zipOpenNewFileInZip(zip, name, &info, NULL, 0, NULL, 0, NULL, method, level), "entry %s", name);
  CHECK(!zipWriteInFileInZip(zip, bytes, (unsigned)n), "entry %s", name);
  CHECK(!zipCloseFileInZip(zip), "entry %s", name);
}

// The new container; level 0 stores.
static const char *write_archive(const char *file, const char *object, size_t n, int level, const void *data,
                                 size_t n_data) {
  const char *path = scratch_path(file);
  zipFile zip = zipOpen64(path, APPEND_STATUS_CREATE);
  CHECK(zip != NULL, "cannot write %s", path);
  put_entry(zip, "archive/data.pkl", object, n, level);
  put_entry(zip, "archive/data/0", data, n_data, level);
  zipClose(zip, NULL);
  return path;
}

// ---- the machine

static const char *const allowed[] = {"torch.FloatStorage", NULL};

typedef struct Stream {
  const char *what, *bytes;
  size_t n;
  const char *fault; // a part of the message; NULL = it is read
} Stream;
#define STREAM(what, bytes, fault)                                                                                     \
  { what, bytes, sizeof(bytes) - 1, fault }

static void test_machine(void) {
  static const Stream streams[] = {
      STREAM("None", "\x80\2N.", NULL),
      STREAM("a frame and an index of its own", "\x80\4\x95\3\0\0\0\0\0\0\0\x8c\1a\x94.", NULL),
      STREAM("POP of a mark", "\x80\2N(0.", NULL),
      STREAM("POP_MARK", "\x80\2N(NN1.", NULL),
      STREAM("an allowed global", "\x80\2ctorch\nFloatStorage\n.", NULL),
      STREAM("an allowed global by names",
             "\x80\4\x8c\5torch\x8c\x0c"
             "FloatStorage\x93.",
             NULL),
      STREAM("an OrderedDict of pairs", "\x80\2ccollections\nOrderedDict\n](](K\1K\2ee\x85R.", NULL),
      STREAM("nothing", "", "no pickle"),
      STREAM("protocol 1", "\x80\1N.", "protocol 1 is unknown"),
      STREAM("protocol 6", "\x80\6N.", "protocol 6 is unknown"),
      STREAM("no end", "\x80\2N", "truncated"),
      STREAM("an empty stack", "\x80\2.", "operand is missing"),
      STREAM("a mark for a result", "\x80\2(.", "operand is missing"),
      STREAM("TUPLE without a mark", "\x80\2NNt.", "mark is missing"),
      STREAM("TUPLE2 over a mark", "\x80\2(N\x86.", "operand is missing"),
      STREAM("POP of nothing",
             "\x80\2"
             "0.",
             "operand is missing"),
      STREAM("DUP of nothing",
             "\x80\2"
             "2.",
             "operand is missing"),
      STREAM("text longer than the file", "\x80\2X\xff\xff\xff\xffhi.", "truncated"),
      STREAM("text of 2^63 bytes", "\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\xffhi.", "truncated"),
      STREAM("a number cut short", "\x80\2J\1\2", "truncated"),
      STREAM("a global cut short", "\x80\2ctorch\nFloat", "truncated"),
      STREAM("an unknown memo index", "\x80\2h\7.", "never kept"),
      STREAM("an enormous memo index", "\x80\2Nr\xff\xff\xff\xff.", "out of order"),
      STREAM("SETITEM on a list", "\x80\2]NNs.", "no dictionary"),
      STREAM("SETITEMS of three", "\x80\2}(NNNu.", "no dictionary"),
      STREAM("APPEND to a dictionary", "\x80\2}Na.", "no list"),
      STREAM("APPENDS to nothing", "\x80\2(Ne.", "operand is missing"),
      STREAM("a call of a number", "\x80\2K\1)R.", "no global"),
      STREAM("a call without a tuple", "\x80\2ctorch\nFloatStorage\nNR.", "no global"),
      STREAM("an OrderedDict of numbers", "\x80\2ccollections\nOrderedDict\nK\1\x85R.", "OrderedDict of something"),
      STREAM("an OrderedDict of triples",
             "\x80\2ccollections\nOrderedDict\n](K\1K\2K\3\x87"
             "e\x85R.",
             "OrderedDict of something"),
      STREAM("os.system", "\x80\2cposix\nsystem\nX\2\0\0\0id\x85R.", "'posix.system'"),
      STREAM("os.system by names", "\x80\4\x8c\5posix\x8c\6system\x93.", "'posix.system'"),
      STREAM("a global named by numbers", "\x80\4K\1K\2\x93.", "global without a name"),
      STREAM("a global with an escape sequence", "\x80\2cposix\n\x1b[2J\n.", "'posix.?[2J'"),
      STREAM("INST", "\x80\2(iposix\nsystem\n.", "INST"),
      STREAM("OBJ", "\x80\2(NNo.", "OBJ"),
      STREAM("NEWOBJ", "\x80\2N)\x81.", "NEWOBJ"),
      STREAM("NEWOBJ_EX", "\x80\4N)}\x92.", "NEWOBJ_EX"),
      STREAM("EXT1", "\x80\2\x82\1.", "EXT1"),
      STREAM("BUILD on a global", "\x80\2ctorch\nFloatStorage\n}b.", "BUILD"),
      STREAM("PERSID", "\x80\2P0\n.", "PERSID"),
      STREAM("NEXT_BUFFER", "\x80\5\x97.", "NEXT_BUFFER"),
      STREAM("no operation", "\x80\2\xff.", "0xff is no operation"),
  };
  for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
    const Stream *stream = &streams[i];
    Arena *arena = arena_new();
    Pickle pickle;
    Status status = pickle_read(arena, stream->bytes, (int64_t)stream->n, allowed, &pickle);
    if (!stream->fault) {
      CHECK(!status, "%s: %s", stream->what, status_message(status));
      CHECK(status || pickle.size == (int64_t)stream->n, "%s: %lld bytes read", stream->what, (long long)pickle.size);
    } else {
      CHECK(status_code(status) == EXIT_WEIGHTS && strstr(status_message(status), stream->fault), "%s: '%s'",
            stream->what, status_message(status));
    }
    status_free(status);
    arena_free(arena);
  }
}

static void test_numbers(void) {
  static const struct {
    const char *bytes;
    int n;
    int64_t want;
  } cases[] = {{"\x80\2J\xfe\xff\xff\xff.", 8, -2},
               {"\x80\2K\xfe.", 5, 254},
               {"\x80\2M\xfe\xff.", 6, 65534},
               {"\x80\2\x8a\0.", 5, 0},
               {"\x80\2\x8a\1\xff.", 6, -1},
               {"\x80\2\x8a\2\xff\0.", 7, 255},
               {"\x80\2\x8a\x08\0\0\0\0\0\0\0\x80.", 13, INT64_MIN}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Arena *arena = arena_new();
    Pickle pickle;
    Status status = pickle_read(arena, cases[i].bytes, cases[i].n, allowed, &pickle);
    CHECK(!status && pickle.root->kind == PICKLE_INT && pickle.root->number == cases[i].want, "number %zu: %s", i,
          status_message(status));
    status_free(status);
    arena_free(arena);
  }
}

// ---- containers

static void check_values(const char *path, const char *format, const Wanted *wanted, const float *want) {
  WeightFile *file = NULL;
  Status status = weights_open(path, &file);
  CHECK(!status, "%s", status_message(status));
  if (!status) {
    const WeightTensor *tensor = weights_find(file, wanted->name);
    CHECK_TEXT(weights_format(file), format, "the format of %s", path);
    CHECK(weights_count(file) == 1 && tensor && tensor->shape.rank == wanted->rank, "the tensor of %s", path);
    float got[64] = {0};
    if (tensor && shape_elements(tensor->shape) <= 64) weights_to_f32(tensor, got);
    for (int i = 0; tensor && i < shape_elements(tensor->shape); i++)
      CHECK(got[i] == want[i], "%s, element %d: %g, expected %g", path, i, (double)got[i], (double)want[i]);
  }
  status_free(status);
  weights_close(file);
}

static void test_containers(void) {
  static const struct {
    Wanted wanted;
    const char *view; // old container
    float want[8];
  } cases[] = {
      {{"w", "Float", 6, 0, 2, {2, 3}, {3, 1}}, "N", {1, 2, 3, 4, 5, 6}},
      {{"transposed", "Float", 6, 0, 2, {3, 2}, {1, 3}}, "N", {1, 4, 2, 5, 3, 6}},
      {{"cut.out", "Float", 6, 1, 2, {2, 2}, {3, 1}}, "N", {2, 3, 5, 6}},
      {{"expanded", "Float", 6, 2, 2, {2, 3}, {0, 1}}, "N", {3, 4, 5, 3, 4, 5}},
      {{"scalar", "Float", 6, 4, 0, {0}, {0}}, "N", {5}},
      {{"empty", "Float", 6, 0, 2, {0, 3}, {3, 1}}, "N", {0}},
      {{"ones", "Float", 6, 5, 3, {1, 1, 1}, {9, 9, 9}}, "N", {6}},
      {{"view", "Float", 6, 1, 1, {2}, {1}}, "(U\1vK\3K\3t", {5, 6}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Text object = {0}, file = {0};
    put_dict(&object, &cases[i].wanted, cases[i].view);
    put_legacy(&file, object.data, object.size);
    check_values(write_bytes("w.pth", file.data, file.size), "PyTorch legacy", &cases[i].wanted, cases[i].want);
    text_clear(&object);
    put_dict(&object, &cases[i].wanted, "");
    for (int level = 0; level < 10 && *cases[i].view == 'N'; level += 9)
      check_values(write_archive("w.pth", object.data, object.size, level, values, sizeof values), "PyTorch zip",
                   &cases[i].wanted, cases[i].want);
    text_free(&object);
    text_free(&file);
  }
}

// Opens what must be refused with a message that holds `fault`.
static void check_refused(const char *path, const char *what, const char *fault) {
  WeightFile *file = NULL;
  Status status = weights_open(path, &file);
  CHECK(status_code(status) == EXIT_WEIGHTS && strstr(status_message(status), fault), "%s: '%s'", what,
        status_message(status));
  if (!status) weights_close(file);
  status_free(status);
}

static void test_hostile_tensors(void) {
  static const struct {
    Wanted wanted;
    const char *view, *fault;
  } cases[] = {
      {{"past", "Float", 6, 0, 1, {7}, {1}}, "N", "outside its storage"},
      {{"offset", "Float", 6, 6, 1, {1}, {1}}, "N", "outside its storage"},
      {{"below", "Float", 6, -1, 1, {1}, {1}}, "N", "unknown form"},
      {{"stride", "Float", 6, 0, 2, {2, 2}, {5, 1}}, "N", "outside its storage"},
      {{"far", "Float", 6, 0, 1, {2}, {INT32_MAX}}, "N", "outside its storage"},
      {{"back", "Float", 6, 5, 1, {2}, {-1}}, "N", "unknown form"},
      {{"less", "Float", 6, 0, 1, {-2}, {1}}, "N", "unknown form"},
      {{"huge", "Float", 6, 0, 3, {INT32_MAX, INT32_MAX, INT32_MAX}, {0, 0, 0}}, "N", "impossible shape"},
      {{"wide", "Float", 6, 0, 2, {INT32_MAX, 100}, {0, 0}}, "N", "impossible size"},
      {{"claims", "Float", 7, 0, 1, {7}, {1}}, "N", "6 elements where 7"},
      {{"claims", "Float", -7, 0, 1, {7}, {1}}, "N", "unknown form"},
      {{"double", "Double", 6, 0, 1, {6}, {1}}, "N", "truncated"},
      {{"complex", "ComplexFloat", 6, 0, 1, {6}, {1}}, "N", "'torch.ComplexFloatStorage'"},
      {{"view", "Float", 6, 0, 1, {4}, {1}}, "(U\1vK\3K\3t", "outside its storage"},
      {{"view", "Float", 6, 0, 1, {1}, {1}}, "(U\1vK\3K\4t", "outside its storage"},
      {{"view", "Float", 6, 0, 1, {1}, {1}}, "(NNt", "outside its storage"},
      {{"a\nb", "Float", 6, 0, 1, {1}, {1}}, "N", "control characters"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Text object = {0}, file = {0};
    put_dict(&object, &cases[i].wanted, cases[i].view);
    put_legacy(&file, object.data, object.size);
    check_refused(write_bytes("w.pth", file.data, file.size), cases[i].wanted.name, cases[i].fault);
    text_free(&object);
    text_free(&file);
  }
}

// Objects that are no plain dictionary of tensors.
static void test_hostile_objects(void) {
  static const Stream objects[] = {
      STREAM("a dictionary in itself", "\x80\2}q\0X\1\0\0\0ah\0s.", "contains itself"),
      STREAM("a list in itself", "\x80\2]q\0h\0a.", "contains itself"),
      STREAM("no tensor", "\x80\2}X\1\0\0\0aK\1s.", "no tensors"),
      STREAM("None", "\x80\2N.", "no tensors"),
      STREAM("a tensor of nothing", "\x80\2}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n)Rs.", "unknown form"),
      STREAM("a parameter of nothing", "\x80\2}X\1\0\0\0actorch._utils\n_rebuild_parameter\n)Rs.", "unknown way"),
      STREAM("a storage of nothing", "\x80\2NQ.", "unknown form"),
      STREAM("a key that is a tuple", "\x80\2}N\x85}s.", "neither a name nor a number"),
      STREAM("a key with a zero", "\x80\2}X\3\0\0\0a\0b]s.", "neither a name nor a number"),
  };
  for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
    const Stream *object = &objects[i];
    check_refused(write_archive("o.pth", object->bytes, object->n, 0, values, sizeof values), object->what,
                  object->fault);
  }
  Text deep = {0}, shared = {0};
  PUT(&deep, "\x80\2");
  for (int i = 0; i < 1000; i++) PUT(&deep, "]");
  for (int i = 1; i < 1000; i++) PUT(&deep, "a");
  PUT(&deep, ".");
  check_refused(write_archive("o.pth", deep.data, deep.size, 9, values, sizeof values), "a thousand lists", "deep");
  PUT(&shared, "\x80\2]");
  for (int i = 0; i < 12; i++) PUT(&shared, "q\0](h\0h\0h\0h\0h\0h\0h\0h\0e");
  PUT(&shared, ".");
  check_refused(write_archive("o.pth", shared.data, shared.size, 9, values, sizeof values), "lists shared 8^12 times",
                "without end");
  text_free(&deep);
  text_free(&shared);
}

// ---- damage

// Opens a file whatever is in it and looks at all values; returns whether it was taken.
static bool try_file(const char *path) {
  WeightFile *file = NULL;
  Status status = weights_open(path, &file);
  if (status) {
    CHECK(status_code(status) == EXIT_WEIGHTS, "%s: code %d", status_message(status), (int)status_code(status));
    status_free(status);
    return false;
  }
  for (int i = 0; i < weights_count(file); i++) {
    const WeightTensor *tensor = weights_at(file, i);
    float *copy = malloc((size_t)shape_elements(tensor->shape) * sizeof *copy + 1);
    if (!copy) exit(70);
    weights_to_f32(tensor, copy);
    free(copy);
  }
  weights_close(file);
  return true;
}

// Every truncation is refused; mutations never crash, and most are refused.
static void test_damage(const char *what, const char *whole, int n_mutations) {
  Text text = {0};
  Status status = file_read(whole, &text);
  CHECK(!status, "%s", status_message(status));
  status_free(status);
  int taken = 0;
  // The end of a zip archive is the length of its comment and the upper bytes of an offset, all zero here.
  for (size_t n = 0; n + 4 < text.size; n++) taken += try_file(write_bytes("short.pth", text.data, n));
  CHECK(taken == 0, "%s: %d truncations were taken for whole", what, taken);
  char *copy = malloc(text.size);
  if (!copy) exit(70);
  uint64_t state = 12345;
  for (int i = 0; i < n_mutations; i++) {
    memcpy(copy, text.data, text.size);
    for (int k = 0; k <= i % 4; k++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      uint64_t where = (state >> 33) % text.size;
      state = state * 6364136223846793005u + 1442695040888963407u;
      static const unsigned char nasty[] = {0, 1, 0x7f, 0x80, 0xff, '(', ')', 'R', 'u', 'Q', 't', 'h', 'q', '.', '}'};
      copy[where] = (char)(state >> 63 ? nasty[(state >> 40) % sizeof nasty] : (unsigned char)(state >> 40));
    }
    taken += try_file(write_bytes("mutant.pth", copy, text.size));
  }
  CHECK(taken < n_mutations, "%s: all of %d mutations were taken", what, n_mutations);
  free(copy);
  text_free(&text);
}

static void test_archives(void) {
  Wanted wanted = {"w", "Float", 6, 0, 1, {6}, {1}};
  Text object = {0};
  put_dict(&object, &wanted, "");
  check_refused(write_archive("a.pth", object.data, object.size, 0, values, 20), "a storage too small", "too few");
  // A deflated entry that claims more than deflating can reach: the size stands in the local header (22) and, again,
  // in the directory; both are found by their signatures.
  static const float zeros[4096];
  wanted.elements = wanted.shape[0] = 4096;
  text_clear(&object);
  put_dict(&object, &wanted, "");
  Text file = {0};
  Status status = file_read(write_archive("a.pth", object.data, object.size, 9, zeros, sizeof zeros), &file);
  CHECK(!status, "%s", status_message(status));
  status_free(status);
  for (size_t i = 0; i + 46 < file.size; i++) {
    size_t at = !memcmp(file.data + i, "PK\3\4", 4) ? 22 : !memcmp(file.data + i, "PK\1\2", 4) ? 24 : 0;
    uint32_t size;
    if (at) memcpy(&size, file.data + i + at, 4);
    if (at && size == sizeof zeros) memcpy(file.data + i + at, "\xf0\xff\xff\x7f", 4);
  }
  check_refused(write_bytes("bomb.pth", file.data, file.size), "a deflated entry of 2 GB", "impossible size");
  text_free(&file);
  text_free(&object);
}

// The length of a safetensors header can look like the beginning of a pickle.
static void test_lookalike(void) {
  Text file = {0};
  uint64_t length = 0x280;
  put_bytes(&file, (const char *)&length, 8);
  PUT(&file, "{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}");
  while (file.size < 8 + length - 1) PUT(&file, " ");
  PUT(&file, "}\7");
  Wanted wanted = {"w", "Byte", 1, 0, 1, {1}, {1}};
  check_values(write_bytes("lookalike.safetensors", file.data, file.size), "safetensors", &wanted, (float[]){7});
  text_free(&file);
}

int main(void) {
  test_machine();
  test_numbers();
  test_containers();
  test_hostile_tensors();
  test_hostile_objects();
  test_archives();
  test_lookalike();
  Wanted wanted = {"transposed", "Float", 6, 0, 2, {3, 2}, {1, 3}};
  Text object = {0}, file = {0};
  put_dict(&object, &wanted, "N");
  put_legacy(&file, object.data, object.size);
  test_damage("the old container", write_bytes("whole.pth", file.data, file.size), 6000);
  test_damage("the new container, stored", write_archive("whole.pth", object.data, object.size, 0, values, 24), 3000);
  test_damage("the new container, deflated", write_archive("whole.pth", object.data, object.size, 9, values, 24), 3000);
  text_free(&object);
  text_free(&file);
  return check_report("runtime/pickle");
}
