/* SPDX-License-Identifier: MIT */
#include "cause_line.h"

#include "base/mem.h"
#include "base/str.h"
#include "cause_words.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#define LINE_MAX_BYTES 2000 /* of a line that is looked at: the rest of a longer one says no more */
#define PREFIXES_MAX 8      /* time, level, process and place in the source stand in front of what is said */
#define BRACKETS_MAX 48     /* bytes of one that is such a prefix */

enum score {
        SCORE_NONE = 0,
        SCORE_LAST = 1, /* says nothing of an error, and may still be the last word */
        SCORE_FOLLOWS = 40,
        SCORE_ERROR = 70,
        SCORE_REASON = 90,
        SCORE_MARKED = 100, /* its program gave it a priority */
        PENALTY_FOLLOWS = SCORE_ERROR - SCORE_FOLLOWS,
        PENALTY_WARNING = 60,
};

enum level { LEVEL_UNKNOWN, LEVEL_INFO, LEVEL_WARNING, LEVEL_ERROR };

/* ---- the text ---- */

/* The end of an escape sequence of a terminal. */
static const char *skip_escape(const char *p)
{
        p++;
        if (*p == '[') {
                for (p++; *p && !(*p >= '@' && *p <= '~'); p++)
                        ;
        } else if (*p == ']') {
                for (p++; *p && *p != '\a' && *p != '\033'; p++)
                        ;
        }
        return *p ? p + 1 : p;
}

/* The length of what shows nothing: white space, a control character of C0 or, in UTF-8, of C1; 0: this is none. */
static size_t empty_at(const char *p)
{
        const unsigned char *b = (const unsigned char *)p;
        if (b[0] == 0xC2 && b[1] >= 0x80 && b[1] <= 0x9F)
                return 2;
        return isspace(b[0]) || iscntrl(b[0]) ? 1 : 0;
}

/* One space for all that is empty, nothing for colours. What is no UTF-8 becomes ASCII. */
static char *plain(const char *line, size_t len)
{
        HL_CLEANUP(hl_free_pointer) char *copy = hl_strndup(line, len < LINE_MAX_BYTES ? len : LINE_MAX_BYTES);
        char *out = hl_alloc(strlen(copy) + 1);
        size_t n = 0;
        for (const char *p = copy; *p;) {
                size_t empty = empty_at(p);
                if (*p == '\033') {
                        p = skip_escape(p);
                } else if (empty > 0) {
                        if (n > 0 && out[n - 1] != ' ')
                                out[n++] = ' ';
                        p += empty;
                } else {
                        out[n++] = *p++;
                }
        }
        while (n > 0 && out[n - 1] == ' ')
                n--;
        out[n] = '\0';
        for (int cut = 0; len > LINE_MAX_BYTES && cut < 3 && n > 0 && !hl_utf8_valid(out, n); cut++)
                out[--n] = '\0'; /* in the middle of a character */
        bool ascii = !hl_utf8_valid(out, n);
        for (char *p = out; ascii && *p; p++)
                if (!isascii((unsigned char)*p))
                        *p = '?';
        return out;
}

/* ---- what stands in front ---- */

static enum level level_of(const char *word, size_t len)
{
        static const struct {
                const char *word;
                enum level level;
        } levels[] = {
                { "error", LEVEL_ERROR },    { "err", LEVEL_ERROR },   { "fatal", LEVEL_ERROR },
                { "critical", LEVEL_ERROR }, { "crit", LEVEL_ERROR },  { "warning", LEVEL_WARNING },
                { "warn", LEVEL_WARNING },   { "wrn", LEVEL_WARNING }, { "info", LEVEL_INFO },
                { "inf", LEVEL_INFO },       { "debug", LEVEL_INFO },  { "trace", LEVEL_INFO },
                { "notice", LEVEL_INFO },
        };
        for (size_t i = 0; i < HL_COUNT(levels); i++)
                if (strlen(levels[i].word) == len && strncasecmp(levels[i].word, word, len) == 0)
                        return levels[i].level;
        return LEVEL_UNKNOWN;
}

/* "E", as llama.cpp and glog write it behind a time. */
static enum level level_of_letter(char letter)
{
        return strchr("EFC", letter)  ? LEVEL_ERROR
               : letter == 'W'        ? LEVEL_WARNING
               : strchr("ID", letter) ? LEVEL_INFO
                                      : LEVEL_UNKNOWN;
}

/* "ERROR" is a level; "Error" begins a sentence. */
static bool is_upper(const char *word, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (!isupper((unsigned char)word[i]))
                        return false;
        return true;
}

/* "15:47:24", "0.00.006.438", "2026-01-31T23:00:00Z", "09-28". */
static bool is_time(const char *word, size_t len)
{
        size_t marks = 0;
        for (size_t i = 0; i < len; i++) {
                if (strchr(":.,-/+", word[i]))
                        marks++;
                else if (!isdigit((unsigned char)word[i]) && word[i] != 'T' && word[i] != 'Z')
                        return false;
        }
        return len >= 5 && marks > 0 && isdigit((unsigned char)*word);
}

/* "[core.py:718]", "[2026-01-31 23:00:00 +0000]", "[ERROR]", "(EngineCore_0 pid=17)"; but not "[Errno 98]". */
static size_t skip_brackets(const char *text, enum level *level)
{
        const char *end = strchr(text, *text == '[' ? ']' : ')');
        if (!end || end - text > BRACKETS_MAX || strncmp(text, "[Errno", 6) == 0 || (end[1] && end[1] != ' '))
                return 0;
        HL_CLEANUP(hl_free_pointer) char *inside = hl_strndup(text + 1, (size_t)(end - text) - 1);
        enum level found = level_of(inside, strlen(inside));
        if (found != LEVEL_UNKNOWN)
                *level = found;
        else if (*text == '(' ? !strstr(inside, "pid=") : !strpbrk(inside, "0123456789") && strchr(inside, ' '))
                return 0;
        return (size_t)(end - text) + 1;
}

static const char *skip_prefixes(const char *text, enum level *level)
{
        bool timed = false;
        for (int i = 0; i < PREFIXES_MAX; i++) {
                size_t len = strcspn(text, " "), word = len > 0 && text[len - 1] == ':' ? len - 1 : len, skipped = 0;
                enum level found = level_of(text, word);
                if (*text == '[' || *text == '(') {
                        skipped = skip_brackets(text, level);
                } else if (is_time(text, word)) {
                        timed = true;
                        skipped = len;
                } else if (found != LEVEL_UNKNOWN && text[len] && (timed || is_upper(text, word))) {
                        *level = found;
                        skipped = len;
                } else if (timed && word == 1 && level_of_letter(*text) != LEVEL_UNKNOWN) {
                        *level = level_of_letter(*text);
                        skipped = len;
                } else if (i > 0 && word == 1 && strchr("-|", *text)) {
                        skipped = len;
                }
                if (skipped == 0)
                        break;
                text += skipped;
                text += strspn(text, " ");
        }
        return text;
}

/* ---- lines for programs: logfmt and JSON ---- */

/* What stands in quotes behind `key`, without them. NULL: nothing does. free() */
static char *quoted_behind(const char *text, const char *key)
{
        const char *at = strstr(text, key);
        if (!at)
                return NULL;
        at += strlen(key);
        at += strspn(at, " ");
        if (*at != '"') /* logfmt's words */
                return *at && strchr(key, '=') ? hl_strndup(at, strcspn(at, " ")) : NULL;
        char *value = hl_alloc(strlen(at));
        size_t n = 0;
        for (at++; *at && *at != '"'; at++) {
                if (*at == '\\' && at[1])
                        at++;
                value[n++] = *at;
        }
        return value;
}

/* The sentence of such a line; NULL: it is none. free() */
static char *sentence_of(const char *text, enum level *level)
{
        bool json = *text == '{';
        HL_CLEANUP(hl_free_pointer) char *word = quoted_behind(text, json ? "\"level\":" : "level=");
        if (!word)
                return NULL;
        HL_CLEANUP(hl_free_pointer) char *message = quoted_behind(text, json ? "\"message\":" : "msg=");
        HL_CLEANUP(hl_free_pointer) char *error = quoted_behind(text, json ? "\"error\":" : "error=");
        if (!message && json)
                message = quoted_behind(text, "\"msg\":");
        if (!message && !error)
                return NULL;
        *level = level_of(word, strlen(word));
        return hl_format("%s%s%s", message ? message : "", message && error ? ": " : "", error ? error : "");
}

/* ---- the judgement ---- */

/* "torch.OutOfMemoryError: CUDA out of memory", "AssertionError". */
static bool is_exception(const char *text)
{
        static const char *const ends[] = { "Error", "Exception", "Fault", "NotFound" };
        size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");
        if (len < 6 || (text[len] && text[len] != ':'))
                return false;
        for (size_t i = 0; i < HL_COUNT(ends); i++) {
                size_t end = strlen(ends[i]);
                if (len > end && strncmp(text + len - end, ends[i], end) == 0)
                        return true;
        }
        return false;
}

static int score_of(const char *text, enum level level, int priority)
{
        if (hl_cause_words_are_frame(text) || !strpbrk(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
                return SCORE_NONE;
        if (priority >= 0 && priority <= LOG_ERR)
                return SCORE_MARKED;
        int score = SCORE_LAST;
        if (is_exception(text) || hl_cause_words_give_reason(text))
                score = SCORE_REASON;
        else if (level == LEVEL_ERROR || hl_cause_words_tell_error(text))
                score = SCORE_ERROR;
        if (score == SCORE_LAST)
                return score;
        /* Here a reason may stand behind what follows from it: "failed to load model: No such file". */
        if (hl_cause_words_follow_up(text) && !hl_cause_words_give_reason(text))
                score -= PENALTY_FOLLOWS;
        if (level == LEVEL_WARNING || level == LEVEL_INFO || strcasestr(text, "warning"))
                score -= PENALTY_WARNING;
        return score >= SCORE_FOLLOWS ? score : SCORE_LAST;
}

static void keep(struct hl_cause_line *best, int score, const char *text)
{
        static const char ellipsis[] = "…";
        size_t len = strlen(text);
        *best = (struct hl_cause_line){ .score = score };
        if (len < sizeof(best->text)) {
                memcpy(best->text, text, len);
                return;
        }
        len = sizeof(best->text) - sizeof(ellipsis);
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80) /* not in the middle of a character */
                len--;
        memcpy(best->text, text, len);
        memcpy(best->text + len, ellipsis, sizeof(ellipsis));
}

static void offer_line(struct hl_cause_line *best, int priority, const char *line, size_t len)
{
        enum level level = LEVEL_UNKNOWN;
        HL_CLEANUP(hl_free_pointer) char *text = plain(line, len);
        HL_CLEANUP(hl_free_pointer) char *sentence = sentence_of(text, &level);
        const char *said = sentence ? sentence : skip_prefixes(text, &level);
        int score = score_of(said, level, priority);
        if (score > SCORE_NONE && score >= best->score)
                keep(best, score, said);
}

void hl_cause_line_offer(struct hl_cause_line *best, int priority, const char *message)
{
        for (const char *line = message; *line; line += strcspn(line, "\n"), line += *line == '\n')
                offer_line(best, priority, line, strcspn(line, "\n"));
}

bool hl_cause_line_is_error(const struct hl_cause_line *line)
{
        return line->score >= SCORE_FOLLOWS;
}
