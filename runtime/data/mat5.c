// MAT 5: numbers from MATLAB files of the format before HDF5, such as the list of NYU's splits.
#include "runtime/data/mat5.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
  HEADER = 128,
  TYPE_INT8 = 1,
  TYPE_UINT8,
  TYPE_INT16,
  TYPE_UINT16,
  TYPE_INT32,
  TYPE_UINT32,
  TYPE_SINGLE,
  TYPE_DOUBLE = 9,
  TYPE_INT64 = 12,
  TYPE_UINT64,
  TYPE_MATRIX,
  TYPE_COMPRESSED,
};

// Decompressed elements beyond this are not the small tables that are read here.
static const size_t most_bytes = (size_t)64 << 20;

// One element of a file, and the bytes not yet read.
typedef struct Element {
  uint32_t type;
  size_t size;
  const uint8_t *data;
} Element;

typedef struct Reader {
  const uint8_t *at;
  size_t left;
} Reader;

static uint32_t word(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

bool mat5_is(const void *bytes, size_t size) {
  const uint8_t *at = bytes;
  return size > HEADER && !memcmp(at, "MATLAB 5.0", 10) && at[126] == 'I' && at[127] == 'M';
}

// The next element; false at the end or where it does not fit.
static bool next(Reader *reader, Element *out) {
  if (reader->left < 8) return false;
  uint32_t first = word(reader->at);
  size_t whole;
  if (first >> 16) { // small form: size and type share a word, the data follows in the other
    *out = (Element){first & 0xffff, first >> 16, reader->at + 4};
    if (out->size > 4) return false;
    whole = 8;
  } else {
    *out = (Element){first, word(reader->at + 4), reader->at + 8};
    if (out->size > reader->left - 8) return false;
    whole = 8 + out->size;
    if (out->type != TYPE_COMPRESSED) whole = (whole + 7) / 8 * 8;
    if (whole > reader->left) whole = reader->left;
  }
  reader->at += whole;
  reader->left -= whole;
  return true;
}

static size_t type_bytes(uint32_t type) {
  switch (type) {
  case TYPE_INT8:
  case TYPE_UINT8: return 1;
  case TYPE_INT16:
  case TYPE_UINT16: return 2;
  case TYPE_INT32:
  case TYPE_UINT32:
  case TYPE_SINGLE: return 4;
  case TYPE_DOUBLE:
  case TYPE_INT64:
  case TYPE_UINT64: return 8;
  default: return 0;
  }
}

static double value_at(uint32_t type, const uint8_t *at) {
  uint64_t bits = 0;
  size_t n = type_bytes(type);
  for (size_t i = 0; i < n; i++) bits |= (uint64_t)at[i] << 8 * i;
  float single;
  double wide;
  switch (type) {
  case TYPE_INT8: return (int8_t)bits;
  case TYPE_INT16: return (int16_t)bits;
  case TYPE_INT32: return (int32_t)bits;
  case TYPE_INT64: return (double)(int64_t)bits;
  case TYPE_SINGLE: {
    uint32_t low = (uint32_t)bits;
    memcpy(&single, &low, sizeof single);
    return single;
  }
  case TYPE_DOUBLE: memcpy(&wide, &bits, sizeof wide); return wide;
  default: return (double)bits;
  }
}

// The values of a matrix element if it is the wanted array; *out stays NULL if it is another.
static Status read_matrix(const char *name, const Element *matrix, const char *variable, double **out, int64_t *out_n) {
  Reader reader = {matrix->data, matrix->size};
  Element flags, dims, title, real;
  if (!next(&reader, &flags) || !next(&reader, &dims) || !next(&reader, &title)) return STATUS_OK;
  if (title.size != strlen(variable) || memcmp(title.data, variable, title.size)) return STATUS_OK;
  size_t width = next(&reader, &real) ? type_bytes(real.type) : 0;
  if (!width || real.size / width > (size_t)1 << 32)
    return status_make(EXIT_DATA, "'%s': '%s' is no array of numbers", name, variable);
  size_t n = real.size / width;
  *out = malloc(sizeof **out * (n + 1));
  if (!*out) BUG("out of memory");
  for (size_t i = 0; i < n; i++) (*out)[i] = value_at(real.type, real.data + width * i);
  *out_n = (int64_t)n;
  return STATUS_OK;
}

// The decompressed bytes, the caller's to free; NULL if they are damaged or too many.
static uint8_t *inflate_element(const Element *element, size_t *out_size) {
  z_stream stream = {.next_in = (uint8_t *)(uintptr_t)element->data, .avail_in = (uInt)element->size};
  if (inflateInit(&stream) != Z_OK) return NULL;
  uint8_t *out = NULL;
  size_t capacity = 0;
  int code = Z_OK;
  while (code == Z_OK && stream.total_out == capacity && capacity < most_bytes) {
    capacity = capacity ? 2 * capacity : (size_t)1 << 16;
    out = realloc(out, capacity);
    if (!out) BUG("out of memory");
    stream.next_out = out + stream.total_out;
    stream.avail_out = (uInt)(capacity - stream.total_out);
    code = inflate(&stream, Z_NO_FLUSH);
  }
  *out_size = stream.total_out;
  inflateEnd(&stream);
  if (code != Z_STREAM_END) {
    free(out);
    return NULL;
  }
  return out;
}

Status mat5_read(const char *name, const void *bytes, size_t size, const char *variable, double **out, int64_t *out_n) {
  *out = NULL;
  *out_n = 0;
  if (!mat5_is(bytes, size)) return status_make(EXIT_DATA, "'%s' is no MAT 5 file", name);
  Reader reader = {(const uint8_t *)bytes + HEADER, size - HEADER};
  Status status = STATUS_OK;
  for (Element element; !*out && !status && next(&reader, &element);) {
    uint8_t *inflated = NULL;
    if (element.type == TYPE_COMPRESSED) {
      Reader inner = {0};
      inflated = inflate_element(&element, &inner.left);
      inner.at = inflated;
      if (!inflated || !next(&inner, &element))
        status = status_make(EXIT_DATA, "'%s' has a damaged compressed array", name);
    }
    if (!status && element.type == TYPE_MATRIX) status = read_matrix(name, &element, variable, out, out_n);
    free(inflated);
  }
  if (!status && !*out) status = status_make(EXIT_DATA, "'%s' has no array '%s', or is truncated", name, variable);
  return status;
}
