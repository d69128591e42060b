package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/spf13/cobra"

	"github.com/seatrial/seatrial/cmd/seatrial/helptext"
)

var update = flag.Bool("update", false, "write the texts of package helptext")

// TestHelpTexts holds the texts that are printed before anything is initialised to what cobra prints, and looks that every command has one.
func TestHelpTexts(t *testing.T) {
	g := NewWithT(t)
	dir := filepath.Join("helptext", "texts")
	var names []string
	for _, command := range commands(newRoot(&app{})) {
		var out, errs bytes.Buffer
		args := append(command, "--help")
		g.Expect(execute(args, strings.NewReader(""), &out, &errs)).To(Equal(0), errs.String())
		name := helptext.Name(command)
		names = append(names, name)
		if *update {
			g.Expect(os.WriteFile(filepath.Join(dir, name), out.Bytes(), 0o644)).To(Succeed())
			continue
		}
		text, ok := helptext.Find(args)
		g.Expect(ok).To(BeTrue(), "seatrial %v has no text", args)
		g.Expect(text).To(Equal(out.String()), "go test ./cmd/seatrial -run TestHelpTexts -update writes the texts")
	}
	entries, err := os.ReadDir(dir)
	g.Expect(err).NotTo(HaveOccurred())
	for _, entry := range entries {
		g.Expect(names).To(ContainElement(entry.Name()), "a text of a command that there is not")
	}
}

// commands lists the words that name each command, those that cobra adds among them.
func commands(root *cobra.Command) [][]string {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	var all [][]string
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		all = append(all, strings.Fields(c.CommandPath())[1:])
		for _, below := range c.Commands() {
			if !below.Hidden {
				walk(below)
			}
		}
	}
	walk(root)
	return all
}

func TestHelpTextsAnswerNothingElse(t *testing.T) {
	g := NewWithT(t)
	for _, args := range [][]string{{}, {"run"}, {"tets", "--help"}, {"run", "--help", "scenarios/drain-web"}, {"run", "scenarios/drain-web", "--help"}, {"../../seatrial", "-h"}} {
		_, ok := helptext.Find(args)
		g.Expect(ok).To(BeFalse(), "%v", args)
	}
	long, _ := helptext.Find([]string{"run", "--help"})
	short, ok := helptext.Find([]string{"run", "-h"})
	g.Expect(ok).To(BeTrue())
	g.Expect(short).To(Equal(long))
}
