/* SPDX-License-Identifier: MIT */
/* str.h - text: strict numbers, UTF-8, percent-decoding, comparison in constant time.
 *
 * Errors   parsers return 0 or -EINVAL / -ERANGE and accept the whole text or nothing.
 * Process  pure functions; outputs are untouched on failure.
 * Tests    tests/unit/base/test_base.c
 */
#ifndef HL_BASE_STR_H
#define HL_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ASCII digits only: no sign, no space, no prefix. At most max. */
int hl_parse_uint(const char *text, uint64_t max, uint64_t *ret_value);

bool hl_utf8_valid(const char *bytes, size_t len);

/* Valid UTF-8 of which each character can be seen: no white space of any kind, no controls, nothing that is invisible
 * or turns the direction of what follows. False for "". */
bool hl_utf8_visible(const char *text);

/* The length of the character at bytes, of which left (at least 1) are there; 0: none of RFC 3629 begins here. */
size_t hl_utf8_char(const char *bytes, size_t left);

/* Writes a code point, at most U+10FFFF, and returns its length. A surrogate is written like any other. */
size_t hl_utf8_put(uint32_t code, char out[static 4]);

/* What a hexadecimal digit stands for; -1: it is none. */
int hl_hex_digit(char c);

/* Decodes %XX; -EINVAL for a bad escape, a NUL, or bytes that are not UTF-8. *ret_text: free(). */
int hl_percent_decode(const char *text, size_t len, char **ret_text);

/* Takes as long for equal texts as for different ones of the same length. */
bool hl_equal_secret(const char *a, const char *b);

/* Copies a text into an array of size bytes: what of it fits, and a NUL. */
void hl_copy(char *to, size_t size, const char *text);

bool hl_has_prefix(const char *text, const char *prefix);

/* The next of the comma-separated words of *list, which may be NULL, and its length; NULL: there is no more. */
const char *hl_next_word(const char **list, size_t *ret_len);

/* True where `word` is one of the comma-separated words of `list`, which may be NULL. */
bool hl_in_list(const char *list, const char *word, size_t word_len);

/* Text of somebody else's, to be repeated in a sentence: one line of printable UTF-8, at most max bytes and "…" where
 * it was longer. free() */
char *hl_shorten(const char *text, size_t len, size_t max);

/* Whether a text is UTF-8 on one line that steers no terminal: no controls, of ASCII or beyond (U+0080 to U+009F), no
 * line ends, no marks that turn the direction of what follows. */
bool hl_is_printable(const char *text);

/* Makes it so: what may not be there becomes '?'. In place. */
void hl_make_printable(char *text);

/* Whether the text is an address of IPv4 or IPv6. */
bool hl_is_address(const char *text);

/* "ADDRESS:PORT", with brackets around an IPv6 address. */
#define HL_HOST_PORT_SIZE 64 /* bytes */
char *hl_format_host_port(const char *address, uint16_t port, char text[static HL_HOST_PORT_SIZE]);

#endif
