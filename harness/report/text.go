package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// printable makes untrusted text fit to be shown on one line: white space and line breaks become one blank, and what can't be
// printed is shown as Go would write it: "\x1b" for the escape that begins an ANSI sequence, "\u202e" for a mark that turns the
// direction of writing, "\xff" for broken UTF-8.
func printable(s string) string {
	var b strings.Builder
	for i, word := range strings.Fields(s) {
		if i > 0 {
			b.WriteByte(' ')
		}
		for len(word) > 0 {
			r, size := utf8.DecodeRuneInString(word)
			switch {
			case r == utf8.RuneError && size == 1:
				fmt.Fprintf(&b, `\x%02x`, word[0])
			case !unicode.IsPrint(r):
				b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
			default:
				b.WriteString(word[:size])
			}
			word = word[size:]
		}
	}
	return b.String()
}

// shorten cuts s to at most width characters; the cut shows as "…".
func shorten(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:max(0, width-1)]) + "…"
}

// wrap breaks s at blanks into at most lines lines of at most width characters each. A word that is longer than a line is
// broken anywhere. What does not fit is cut, which shows as "…". Width is counted in characters: names in Kubernetes are ASCII.
func wrap(s string, width, lines int) []string {
	var out []string
	rest := []rune(s)
	for len(rest) > width && len(out) < lines-1 {
		cut := width
		for i := width; i > 0; i-- {
			if rest[i] == ' ' {
				cut = i
				break
			}
		}
		out = append(out, string(rest[:cut]))
		rest = []rune(strings.TrimLeft(string(rest[cut:]), " "))
	}
	return append(out, shorten(string(rest), width))
}

// listing joins items with commas for as long as they fit into width characters, and says how many are left out. It shows at
// least one.
func listing(items []string, width int) string {
	const more = len(", and 1000 more")
	var b strings.Builder
	for i, item := range items {
		room := width - utf8.RuneCountInString(b.String()) - len(", ")
		if i < len(items)-1 {
			room -= more
		}
		if i > 0 && utf8.RuneCountInString(item) > room {
			fmt.Fprintf(&b, ", and %d more", len(items)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(shorten(item, max(room, width/2)))
	}
	return b.String()
}

// span shows a duration to three digits or so: 340ms, 12.4s, 1m 42s, 2h 05m.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + span(-d)
	case d < 999500*time.Microsecond:
		return fmt.Sprintf("%dms", d.Round(time.Millisecond).Milliseconds())
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour-500*time.Millisecond:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm %02ds", d/time.Minute, d%time.Minute/time.Second)
	default:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh %02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
}

// count shows a number with its noun: "1 warning", "2 warnings".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
