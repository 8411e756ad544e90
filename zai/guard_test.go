package zai_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"zai-image-mcp/zai"
)

func TestDownload_AddressesRefused(t *testing.T) {
	for _, address := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
		"172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.31.196.1", "192.52.193.1", "192.175.48.1",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1",
		"2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
	} {
		require.Error(t, zai.CheckAddress("tcp6", net.JoinHostPort(address, "443")), address)
	}
	for _, address := range []string{"1.1.1.1", "8.8.8.8", "47.245.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"} {
		require.NoError(t, zai.CheckAddress("tcp4", net.JoinHostPort(address, "443")), address)
	}
	require.Error(t, zai.CheckAddress("tcp4", "1.1.1.1:80"), "another port")
	require.Error(t, zai.CheckAddress("udp4", "1.1.1.1:443"), "another network")
	require.Error(t, zai.CheckAddress("unix", "/run/docker.sock"), "a socket")
	require.Error(t, zai.CheckAddress("tcp6", "[fe80::1%eth0]:443"), "a zone")
}

// specialRanges are all blocks of the IANA special-purpose registries that are
// not globally reachable, or through which other addresses are reached.
var specialRanges = []string{
	"0.0.0.0/8",         // this network (RFC 791)
	"10.0.0.0/8",        // private (RFC 1918)
	"100.64.0.0/10",     // shared, carrier NAT, also cloud metadata (RFC 6598)
	"127.0.0.0/8",       // loopback (RFC 1122)
	"169.254.0.0/16",    // link local, cloud metadata (RFC 3927)
	"172.16.0.0/12",     // private (RFC 1918)
	"192.0.0.0/24",      // protocol assignments (RFC 6890)
	"192.0.2.0/24",      // documentation (RFC 5737)
	"192.31.196.0/24",   // AS112 (RFC 7535)
	"192.52.193.0/24",   // AMT (RFC 7450)
	"192.88.99.0/24",    // 6to4 relays (RFC 7526)
	"192.168.0.0/16",    // private (RFC 1918)
	"192.175.48.0/24",   // AS112 (RFC 7534)
	"198.18.0.0/15",     // benchmarks (RFC 2544)
	"198.51.100.0/24",   // documentation (RFC 5737)
	"203.0.113.0/24",    // documentation (RFC 5737)
	"224.0.0.0/4",       // multicast (RFC 1112)
	"240.0.0.0/4",       // reserved, with broadcast (RFC 1112)
	"::/128",            // unspecified (RFC 4291)
	"::1/128",           // loopback (RFC 4291)
	"::/96",             // IPv4-compatible, deprecated (RFC 4291)
	"::ffff:0:0/96",     // IPv4-mapped (RFC 4291)
	"::ffff:0:0:0/96",   // IPv4-translated (RFC 2765)
	"64:ff9b::/96",      // NAT64 (RFC 6052)
	"64:ff9b:1::/48",    // local NAT64 (RFC 8215)
	"100::/64",          // discard (RFC 6666)
	"100:0:0:1::/64",    // dummy prefix (RFC 9780)
	"2001::/23",         // protocol assignments, with Teredo (RFC 2928)
	"2001:db8::/32",     // documentation (RFC 3849)
	"2002::/16",         // 6to4 (RFC 3056)
	"2620:4f:8000::/48", // AS112 (RFC 7534)
	"3fff::/20",         // documentation (RFC 9637)
	"5f00::/16",         // segment routing (RFC 9602)
	"fc00::/7",          // unique local (RFC 4193)
	"fe80::/10",         // link local (RFC 4291)
	"fec0::/10",         // site local, deprecated (RFC 3879)
	"ff00::/8",          // multicast (RFC 4291)
}

// The first and the last address of every range are refused.
func TestDownload_SpecialRangesRefused(t *testing.T) {
	for _, s := range specialRanges {
		prefix := netip.MustParsePrefix(s)
		first := prefix.Masked().Addr()
		last := first.AsSlice()
		for bit := prefix.Bits(); bit < len(last)*8; bit++ {
			last[bit/8] |= 1 << (7 - bit%8)
		}
		end, ok := netip.AddrFromSlice(last)
		require.True(t, ok)
		for _, a := range []netip.Addr{first, end} {
			require.Error(t, zai.CheckAddress("tcp", netip.AddrPortFrom(a, 443).String()), "%s of %s", a, prefix)
			network := "tcp4"
			if a.Is6() {
				network = "tcp6"
			}
			require.Error(t, zai.CheckAddress(network, netip.AddrPortFrom(a, 443).String()), "%s of %s", a, prefix)
		}
	}
}

// canary returns a listener that fails the test if anything connects to it.
func canary(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Errorf("something connected to %s", l.Addr())
			c.Close()
		}
	}()
	return l
}

func TestDownload_NoConnectionToPrivateAddress(t *testing.T) {
	api := serve(t, http.NotFoundHandler())
	c := newClient(t, api.URL, zai.WithDownloadRetries())
	port := canary(t, "127.0.0.1:0").Addr().(*net.TCPAddr).Port
	hosts := []string{
		"127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "①②⑦.⓪.⓪.①", "localhost", "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]",
		"[::]", "0.0.0.0", "0", "169.254.169.254", "[fe80::1%25lo]",
	}
	for _, host := range hosts {
		for _, link := range []string{
			fmt.Sprintf("https://%s:%d/a.png", host, port), fmt.Sprintf("http://%s:%d/a.png", host, port),
			"https://" + host + "/a.png", "https://user:pass@" + host + "/a.png",
		} {
			_, err := c.Download(t.Context(), zai.ImageData{URL: link})
			require.ErrorIs(t, err, zai.KindDownload, link)
			// These words would mean that the address was dialled.
			require.NotRegexp(t, "refused|timeout|no route|handshake", err.Error(), link)
		}
	}
	for _, link := range []string{"file:///etc/passwd", "data:image/png;base64,AAAA", "gopher://x", "//host/a.png", "a.png", ":", "https:///a"} {
		_, err := c.Download(t.Context(), zai.ImageData{URL: link})
		require.ErrorIs(t, err, zai.KindDownload, link)
	}
}

func TestDownload_Redirects(t *testing.T) {
	other := canary(t, "127.0.0.1:0")
	file := pngOf(t, 9, 9)
	mux := http.NewServeMux()
	mux.HandleFunc("/hop/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscan(r.PathValue("n"), &n)
		assert.Empty(t, r.Referer(), "the previous link contains a signature")
		if n == 0 {
			_, _ = w.Write(file)
			return
		}
		http.Redirect(w, r, fmt.Sprintf("/hop/%d", n-1), http.StatusFound)
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("url"), http.StatusTemporaryRedirect)
	})
	s := serve(t, mux)
	c := newClient(t, s.URL)
	for hops := range 4 {
		img, err := c.Download(t.Context(), zai.ImageData{URL: fmt.Sprintf("%s/hop/%d", s.URL, hops)})
		require.NoError(t, err, "%d redirects", hops)
		require.NoError(t, img.Close())
	}
	_, err := c.Download(t.Context(), zai.ImageData{URL: s.URL + "/hop/4"})
	require.ErrorIs(t, err, zai.KindDownload)
	for target, why := range map[string]string{
		"http://192.0.2.1:443/": "not https", "https://192.0.2.1:8443/": "port 8443", "https://user@192.0.2.1/": "not a plain address", "ftp://192.0.2.1/": "not https",
	} {
		for _, link := range []string{target, s.URL + "/to?url=" + url.QueryEscape(target)} {
			_, err := c.Download(t.Context(), zai.ImageData{URL: link})
			require.ErrorIs(t, err, zai.KindDownload, link)
			require.ErrorContains(t, err, why, link)
		}
	}
	for _, target := range []string{"https://" + other.Addr().String() + "/", "http://" + other.Addr().String() + "/", "https://169.254.169.254/", "http://example.com/"} {
		_, err := c.Download(t.Context(), zai.ImageData{URL: s.URL + "/to?url=" + url.QueryEscape(target)})
		require.ErrorIs(t, err, zai.KindDownload, target)
	}
}

// An origin is trusted only if its scheme, host and port are those of the base
// URL.
func TestDownload_TrustedOriginOnly(t *testing.T) {
	api := serve(t, bytesHandler("image/png", pngOf(t, 9, 9)))
	c := newClient(t, api.URL+"/api/paas/v4")
	img, err := c.Download(t.Context(), zai.ImageData{URL: api.URL + "/files/a.png"})
	require.NoError(t, err)
	require.NoError(t, img.Close())
	other := httptest.NewServer(bytesHandler("image/png", pngOf(t, 9, 9)))
	defer other.Close()
	_, err = c.Download(t.Context(), zai.ImageData{URL: other.URL + "/files/a.png"})
	require.ErrorIs(t, err, zai.KindDownload)
	port := api.Listener.Addr().(*net.TCPAddr).Port
	_, err = c.Download(t.Context(), zai.ImageData{URL: fmt.Sprintf("http://localhost:%d/files/a.png", port)})
	require.ErrorIs(t, err, zai.KindDownload)
}
