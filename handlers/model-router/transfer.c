/* SPDX-License-Identifier: MIT */
#include "transfer.h"

#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

static int decode_base64(const char *bytes, size_t len, struct hl_buf *out)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        unsigned value = 0, count = 0, padding = 0;
        for (size_t i = 0; i < len; i++) {
                const char *digit = bytes[i] ? strchr(digits, bytes[i]) : NULL;
                if (bytes[i] && strchr(" \t\r\n", bytes[i]))
                        continue;
                if (bytes[i] == '=') {
                        padding++;
                        continue;
                }
                if (!digit || padding)
                        return -EINVAL;
                value = value << 6 | (unsigned)(digit - digits);
                count++;
                if (count % 4 != 1) {
                        const char byte = (char)(value >> (6 - 2 * ((count - 1) % 4)));
                        hl_buf_add(out, &byte, 1);
                }
        }
        return (count + padding) % 4 == 0 && padding <= 2 ? 0 : -EINVAL;
}

static void decode_quoted_printable(const char *bytes, size_t len, struct hl_buf *out)
{
        for (size_t i = 0; i < len; i++) {
                char byte = bytes[i];
                if (byte == '=' && len - i > 1 && (bytes[i + 1] == '\n' || bytes[i + 1] == '\r')) {
                        i += bytes[i + 1] == '\r' && len - i > 2 && bytes[i + 2] == '\n' ? 2 : 1;
                        continue; /* a soft line break */
                }
                int high = byte == '=' && len - i > 2 ? hl_hex_digit(bytes[i + 1]) : -1;
                int low = high >= 0 ? hl_hex_digit(bytes[i + 2]) : -1;
                if (low >= 0) {
                        byte = (char)(high * 16 + low);
                        i += 2;
                }
                hl_buf_add(out, &byte, 1);
        }
}

static bool is(const char *encoding, size_t len, const char *word)
{
        while (len && isspace((unsigned char)*encoding)) {
                encoding++;
                len--;
        }
        while (len && isspace((unsigned char)encoding[len - 1]))
                len--;
        return len == strlen(word) && strncasecmp(encoding, word, len) == 0;
}

int hl_transfer_decode(const char *encoding, size_t encoding_len, const char *bytes, size_t len, struct hl_buf *out)
{
        if (is(encoding, encoding_len, "base64"))
                return decode_base64(bytes, len, out);
        if (is(encoding, encoding_len, "quoted-printable"))
                decode_quoted_printable(bytes, len, out);
        else
                hl_buf_add(out, bytes, len);
        return 0;
}
