package judge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a policy, or with what a scenario says about policies.
type Problem struct {
	// File is the policy file, or "" for a problem that is in no file.
	File string
	// Row and Col count from 1; both 0 for a problem of the file as a whole.
	Row, Col int
	Message  string
}

// String is file:line:column: message, as editors understand it.
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Message
	case p.Row == 0:
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Row, p.Col, p.Message)
}

// PolicyError says that policies can't be used, or were asked for what they don't have: a usage error, found before
// anything is judged. It holds every problem at once, one a line.
type PolicyError struct {
	// Problems are ordered by file and place.
	Problems []Problem
}

func (e *PolicyError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// problems collects while a library is loaded or a scenario is checked.
type problems []Problem

func (ps *problems) add(file string, row, col int, format string, args ...any) {
	*ps = append(*ps, Problem{File: file, Row: row, Col: col, Message: fmt.Sprintf(format, args...)})
}

// err returns the problems as one error, or nil when there are none.
func (ps problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	sorted := slices.Clone(ps)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Message, b.Message))
	})
	return &PolicyError{Problems: slices.Compact(sorted)}
}
