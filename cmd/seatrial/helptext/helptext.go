// Package helptext answers --help before the packages of Kubernetes, etcd and OPA are initialised, which takes a tenth of a second and reads most of the program from
// the disk: Go initialises a package that imports next to nothing before those (https://go.dev/ref/spec#Program_initialization). The texts are what cobra prints; a test holds
// them to that. Why: docs/decisions/008-help-before-initialisation.md.
package helptext

import (
	"embed"
	"os"
	"strings"
)

//go:embed texts
var texts embed.FS

func init() {
	if text, ok := Find(os.Args[1:]); ok {
		if _, err := os.Stdout.WriteString(text); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// Find is the help that a command line asks for: words that name a command, and --help or -h. Whatever else there is, cobra answers.
func Find(args []string) (string, bool) {
	if len(args) == 0 || args[len(args)-1] != "--help" && args[len(args)-1] != "-h" {
		return "", false
	}
	text, err := texts.ReadFile("texts/" + Name(args[:len(args)-1]))
	return string(text), err == nil
}

// Name is the file that has the help of a command, by the words that name it.
func Name(command []string) string {
	return strings.Join(append([]string{"seatrial"}, command...), " ") + ".txt"
}
