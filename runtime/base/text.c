// Text: a growing string buffer.
#include "runtime/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

static void reserve(Text *text, size_t extra) {
  size_t need = text->size + extra + 1;
  if (need <= text->capacity) return;
  size_t capacity = text->capacity ? text->capacity : 64;
  while (capacity < need) capacity *= 2;
  char *data = realloc(text->data, capacity);
  if (!data) BUG("out of memory: a text of %zu bytes", capacity);
  text->data = data;
  text->capacity = capacity;
}

void text_write(Text *text, const void *bytes, size_t n) {
  reserve(text, n);
  if (n) memcpy(text->data + text->size, bytes, n);
  text->size += n;
  text->data[text->size] = 0;
}

void text_put(Text *text, const char *string) { text_write(text, string, strlen(string)); }

void text_put_int(Text *text, long long value) {
  char digits[24], *at = digits + sizeof digits;
  unsigned long long rest = value < 0 ? -(unsigned long long)value : (unsigned long long)value;
  do *--at = (char)('0' + rest % 10);
  while (rest /= 10);
  if (value < 0) *--at = '-';
  text_write(text, at, (size_t)(digits + sizeof digits - at));
}

void text_vprintf(Text *text, const char *format, va_list args) {
  enum { MOSTLY = 96 }; // most pieces are shorter: formatted once
  reserve(text, MOSTLY);
  va_list again;
  va_copy(again, args);
  int n = vsnprintf(text->data + text->size, MOSTLY + 1, format, again);
  va_end(again);
  if (n < 0) BUG("bad format '%s'", format);
  if (n > MOSTLY) {
    reserve(text, (size_t)n);
    vsnprintf(text->data + text->size, (size_t)n + 1, format, args);
  }
  text->size += (size_t)n;
}

void text_printf(Text *text, const char *format, ...) {
  va_list args;
  va_start(args, format);
  text_vprintf(text, format, args);
  va_end(args);
}

void text_put_json(Text *text, const char *string) {
  text_put(text, "\"");
  for (const unsigned char *c = (const unsigned char *)string; *c; c++) {
    if (*c == '"' || *c == '\\') text_printf(text, "\\%c", *c);
    else if (*c == '\n') text_put(text, "\\n");
    else if (*c < 0x20) text_printf(text, "\\u%04x", *c);
    else text_write(text, c, 1);
  }
  text_put(text, "\"");
}

void text_clear(Text *text) {
  text->size = 0;
  if (text->data) text->data[0] = 0;
}

void text_free(Text *text) {
  free(text->data);
  *text = (Text){0};
}

const char *text_get(const Text *text) { return text->data ? text->data : ""; }

char *text_take(Text *text) {
  reserve(text, 0);
  text->data[text->size] = 0;
  char *data = text->data;
  *text = (Text){0};
  return data;
}

int text_head(const char *text, int lines) {
  const char *at = text;
  while (lines-- > 0 && *at) at += strcspn(at, "\n") + (strchr(at, '\n') != NULL);
  int n = (int)(at - text);
  while (n > 0 && text[n - 1] == '\n') n--;
  return n;
}
