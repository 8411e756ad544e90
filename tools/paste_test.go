package tools_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"zai-image-mcp/tools"
)

func TestPasteLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, alt, markdown, html string }{
		{"hero.png", "A red fox", "![A red fox](hero.png)", `<img src="hero.png" width="30" height="20" alt="A red fox">`},
		{"a b/(1) [x].webp", "a", "![a](a%20b/%281%29%20%5Bx%5D.webp)", `<img src="a%20b/%281%29%20%5Bx%5D.webp" width="30" height="20" alt="a">`},
		{"x%20y#z?.jpg", "", "![](x%2520y%23z%3F.jpg)", `<img src="x%2520y%23z%3F.jpg" width="30" height="20" alt="">`},
		{`a"b'<c>&d.png`, "a", "![a](a%22b%27%3Cc%3E%26d.png)", `<img src="a%22b%27%3Cc%3E%26d.png" width="30" height="20" alt="a">`},
		{"素材/狐狸.png", "雪中的狐狸", "![雪中的狐狸](素材/狐狸.png)", `<img src="素材/狐狸.png" width="30" height="20" alt="雪中的狐狸">`},
		{"a\u3000b.png", "a", "![a](a%E3%80%80b.png)", `<img src="a%E3%80%80b.png" width="30" height="20" alt="a">`},
		{
			"a.png", `x](evil) ![y] \ <script> & "q" 'r' {z} *b* _i_ ` + "`c`",
			`![x\](evil) !\[y\] \\ \<script> \& "q" 'r' \{z\} \*b\* \_i\_ ` + "\\`c\\`](a.png)",
			`<img src="a.png" width="30" height="20" alt="x](evil) ![y] \ &lt;script&gt; &amp; &#34;q&#34; &#39;r&#39; {z} *b* _i_ ` + "`c`" + `">`,
		},
		{"a.png", "one\ntwo\r\n\n# three\x1b[2J\u202e", `![one two # three\\x1b\[2J\\u202e](a.png)`, `<img src="a.png" width="30" height="20" alt="one two # three\x1b[2J\u202e">`},
	} {
		assert.Equal(t, []string{"Markdown: " + tt.markdown, "HTML: " + tt.html}, tools.PasteLines(tt.name, tt.alt, 30, 20))
	}
	assert.Equal(t, []string{`HTML: <link rel="icon" href="a%20b/favicon.ico">`}, tools.PasteLines("a b/favicon.ico", "x", 48, 48))
}
