package berth

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

// TestSecrets: what is planted in a run's folder is found, each time in the one file that has it.
func TestSecrets(t *testing.T) {
	g := NewWithT(t)
	b, folder := New(t), t.TempDir()
	for i := range 6 {
		g.Expect(os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.log", i)), []byte("MII is how a certificate begins; event/production/web-7d4b9c.18a1b2c3d4e5f607\n"), 0o600)).To(Succeed())
	}
	g.Expect(b.Secrets(folder)).To(BeEmpty())
	planted := filepath.Join(folder, "planted.log")
	for _, text := range []string{
		"client-key-data: LS0tLS1CRUdJTiBFQyBQUklWQVRF", "Credential=" + rand.Text() + "/us-east-1", `"AWS_SECRET_ACCESS_KEY":"` + base64.StdEncoding.EncodeToString([]byte(rand.Text())) + `"`,
		"MIIBdzCCAR2gAwIBAgIBADAKBggqhkjOPQQDAjAjMSEwHwYDVQQDDBhrM3Mtc2VydmVyLWNhQDE3", "kubeadm join --token h9x2ab.k3m5qwer7tyu8iop",
	} {
		g.Expect(os.WriteFile(planted, []byte(text+"\n"), 0o600)).To(Succeed())
		g.Expect(b.Secrets(folder)).To(ConsistOf(planted), text)
	}
}
