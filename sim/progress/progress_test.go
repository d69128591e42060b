package progress

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// later makes the bubble's clock go on.
func later(d time.Duration) { <-time.After(d) }

func TestUpdateIsRareWhereThereIsNoTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := New(&out)
		started := time.Now()
		for range 25 {
			p.Update("building: %s", Elapsed(started))
			later(time.Second)
		}
		p.Finish()
		gomega.NewWithT(t).Expect(out.String()).To(gomega.Equal("building: 0s\nbuilding: 10s\nbuilding: 20s\n"))
	})
}

func TestSayAlwaysWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := New(&out)
		p.Say("downloaded %s", "etcd")
		p.Say("downloaded %s", "kubectl")
		p.Update("not yet: something was just said")
		later(10 * time.Second)
		p.Update("building")
		gomega.NewWithT(t).Expect(out.String()).To(gomega.Equal("downloaded etcd\ndownloaded kubectl\nbuilding\n"))
	})
}

func TestElapsedIsInWholeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		later(71*time.Second + 600*time.Millisecond)
		gomega.NewWithT(t).Expect(Elapsed(started).String()).To(gomega.Equal("1m12s"))
	})
}

func TestATerminalHasOneLine(t *testing.T) {
	g := gomega.NewWithT(t)
	terminal, screen := openTerminal(t, 20)
	synctest.Test(t, func(*testing.T) {
		p := New(terminal)
		p.Update("building: 0s")
		p.Update("not yet")
		later(time.Second)
		p.Update("building a thing of a long name")
		p.Say("built")
		later(time.Second)
		p.Update("linking")
		p.Finish()
		p.Finish()
	})
	g.Expect(terminal.Close()).To(gomega.Succeed())
	const clear = "\r\x1b[K"
	data, _ := io.ReadAll(screen) // it ends with an error: nobody has the terminal any more
	g.Expect(string(data)).To(gomega.Equal(
		"building: 0s" + clear + "building a thing of" + clear + "built\r\n" + "linking" + clear))
}

// openTerminal is a terminal of so many columns, and what a person would have before them.
func openTerminal(t *testing.T, columns uint16) (terminal, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("SKIP: no pseudoterminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	g := gomega.NewWithT(t)
	fd := int(screen.Fd())
	g.Expect(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)).To(gomega.Succeed())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	g.Expect(unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})).To(gomega.Succeed())
	return terminal, screen
}
