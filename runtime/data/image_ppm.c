// PPM: binary colour pictures (P6), as pipes of frames carry them.
#include <ctype.h>

#include "runtime/data/image_codec.h"

// One number of the header at *at, after white space and comments. False where the bytes end or hold none: *out_broken
// tells which.
static bool header_number(const uint8_t *bytes, size_t size, size_t *at, uint64_t *out, bool *out_broken) {
  size_t i = *at;
  for (; i < size && (isspace(bytes[i]) || bytes[i] == '#'); i++)
    if (bytes[i] == '#')
      while (i < size && bytes[i] != '\n') i++;
  size_t first = i;
  uint64_t value = 0;
  for (; i < size && isdigit(bytes[i]) && i - first < 9; i++) value = 10 * value + (uint64_t)(bytes[i] - '0');
  *out_broken = i < size && (i == first || !isspace(bytes[i]));
  if (i >= size || *out_broken) return false;
  *at = i;
  *out = value;
  return true;
}

bool image_is_ppm(const void *bytes, size_t size) {
  const char *text = bytes;
  return size >= 3 && text[0] == 'P' && text[1] == '6' && (isspace((unsigned char)text[2]) || text[2] == '#');
}

Status ppm_header(const char *name, const void *bytes, size_t size, PpmHeader *out) {
  uint64_t number[3];
  size_t at = 2;
  *out = (PpmHeader){0};
  for (int i = 0; i < 3; i++) {
    bool is_broken;
    if (header_number(bytes, size, &at, &number[i], &is_broken)) continue;
    if (is_broken || size > 4096) return status_make(EXIT_DATA, "'%s' is a damaged PPM: its header has no sizes", name);
    return STATUS_OK; // incomplete
  }
  TRY(image_check_size(name, number[0], number[1]));
  if (number[2] < 1 || number[2] > 65535)
    return status_make(EXIT_DATA, "'%s' is a damaged PPM: its largest value is %llu", name,
                       (unsigned long long)number[2]);
  *out = (PpmHeader){(int)number[0], (int)number[1], (int)number[2], at + 1, 0};
  out->size = out->header + (size_t)out->width * (size_t)out->height * (out->largest > 255 ? 6 : 3);
  return STATUS_OK;
}

Status ppm_decode(const char *name, const void *bytes, size_t size, Image *out) {
  PpmHeader header;
  TRY(ppm_header(name, bytes, size, &header));
  if (!header.size || size < header.size)
    return status_make(EXIT_DATA, "'%s' is a truncated PPM: %zu bytes of %zu", name, size, header.size);
  TRY(image_try_alloc(name, out, header.width, header.height));
  const uint8_t *from = (const uint8_t *)bytes + header.header;
  size_t n = 3 * (size_t)header.width * (size_t)header.height;
  uint32_t largest = (uint32_t)header.largest;
  for (size_t i = 0; i < n; i++) {
    uint32_t value = largest > 255 ? (uint32_t)from[2 * i] << 8 | from[2 * i + 1] : from[i];
    if (value > largest) value = largest;
    out->rgb[i] = (uint8_t)((255 * value + largest / 2) / largest);
  }
  return STATUS_OK;
}
