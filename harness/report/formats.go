package report

import (
	"fmt"
	"io"
	"strings"
)

// Format is one way to show a report.
type Format struct {
	// Name is what --format takes.
	Name string
	// File is its name in a run's folder; "" for a format that is for looking at only.
	File string
	// Doc says in a sentence who reads it.
	Doc string
	// Render writes the report to w.
	Render func(w io.Writer, r Report) error
}

// The files of a run's folder that are reports.
const (
	jsonFile     = "report.json"
	junitFile    = "junit.xml"
	markdownFile = "summary.md"
)

// Formats lists every format in the order of its documentation. The run's folder, the values of --format and the
// documentation are made from it.
var Formats = []Format{
	{
		Name: "terminal",
		Doc:  "One screen for a person: what broke and what to do about it.",
		Render: func(w io.Writer, r Report) error {
			return Terminal(w, r, Screen{})
		},
	},
	{Name: "json", File: jsonFile, Doc: "All that is known of the run, for programs.", Render: JSON},
	{Name: "junit", File: junitFile, Doc: "JUnit XML for CI: a test case for each operation and each policy.", Render: JUnit},
	{Name: "markdown", File: markdownFile, Doc: "A summary for the page of a CI job or a pull request.", Render: Markdown},
}

// FormatNames lists the names of the formats, in the order of [Formats].
func FormatNames() []string {
	names := make([]string, len(Formats))
	for i, f := range Formats {
		names[i] = f.Name
	}
	return names
}

// LookupFormat returns the format of that name. The error lists the names there are.
func LookupFormat(name string) (Format, error) {
	for _, f := range Formats {
		if f.Name == name {
			return f, nil
		}
	}
	return Format{}, fmt.Errorf("no format %q: use one of %s", name, strings.Join(FormatNames(), ", "))
}
