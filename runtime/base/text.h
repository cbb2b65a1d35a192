// Text: a growing string buffer, always zero-terminated.
#ifndef SG_BASE_TEXT_H
#define SG_BASE_TEXT_H

#include <stdarg.h>
#include <stddef.h>

// Zero-initialise it ({0}); text_free ends it. `data` is NULL until something was put.
typedef struct Text {
  char *data;
  size_t size, capacity;
} Text;

void text_put(Text *text, const char *string);
void text_write(Text *text, const void *bytes, size_t n);
void text_put_int(Text *text, long long value); // in decimal
void text_printf(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(Text *text, const char *format, va_list args);

// Puts `string` as a double-quoted JSON string with escapes.
void text_put_json(Text *text, const char *string);

// Bytes of the first lines of a text, without the line ends behind them.
int text_head(const char *text, int lines);

void text_clear(Text *text);            // keeps the capacity
void text_free(Text *text);             // back to {0}
const char *text_get(const Text *text); // lent; "" when empty
char *text_take(Text *text);            // the string passes to the caller, who frees it with free(); text is {0} again

#endif
