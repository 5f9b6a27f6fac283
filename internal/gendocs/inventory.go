package main

import (
	"fmt"
	"strings"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/providers"
)

// inventoryPage has the options that sources of the inventory take.
func inventoryPage() string {
	var b strings.Builder
	b.WriteString("# Sources of the inventory\n\nEach source has a name below `inventory:` in the configuration of the master, and these options: those of all kinds, and those of the kind that `provider` names.\n")
	b.WriteString("\n## All kinds\n\n")
	writeOptions(&b, inventory.Common)
	for _, name := range providers.Kinds() {
		k, _ := providers.Get(name)
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", name, k.Doc)
		writeOptions(&b, k.Options)
	}
	return b.String()
}

func writeOptions(b *strings.Builder, options []inventory.Option) {
	if len(options) == 0 {
		b.WriteString("It has no options of its own.\n")
		return
	}
	b.WriteString("| option | is | |\n| --- | --- | --- |\n")
	for _, o := range options {
		kind := string(o.Type)
		if o.Need {
			kind += ", has to be given"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", o.Name, kind, strings.NewReplacer("|", "\\|", "\n", " ", "{{", "`{{", "}}", "}}`").Replace(o.Doc))
	}
}
