/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Just enough ELF, for a file that may lie about everything.  Each offset and size is checked against the file
 * before it is used, headers are copied out so that alignment does not matter, strings must end inside their
 * table, and work is linear in the size of the file.
 */
#include <elf.h>
#include <endian.h>
#include <string.h>

#include "core/base/str.h"
#include "core/plugin/plugin_priv.h"

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#elif defined(__riscv)
#define OWN_MACHINE EM_RISCV
#else
#error "an architecture that this daemon was not tried on"
#endif

enum { SECTIONS_MAX = 4096 };

struct image {
	const char *data;
	size_t n;
	Elf64_Ehdr head;
	struct am_slice names; /* of sections */
};

static bool
slice_of(const struct image *im, uint64_t offset, uint64_t size, struct am_slice *ret)
{
	if (offset > im->n || size > im->n - offset)
		return false;
	*ret = am_slice(im->data + offset, (size_t)size);
	return true;
}

static bool
section(const struct image *im, size_t i, Elf64_Shdr *ret)
{
	struct am_slice s;

	if (i >= im->head.e_shnum || !slice_of(im, im->head.e_shoff + i * sizeof(*ret), sizeof(*ret), &s))
		return false;
	memcpy(ret, s.p, sizeof(*ret));
	return true;
}

/* A string of a table, or NULL when it does not end inside. */
static const char *
string_at(struct am_slice table, uint64_t at)
{
	if (at >= table.n || memchr(table.p + at, '\0', table.n - at) == NULL)
		return NULL;
	return table.p + at;
}

static bool
content(const struct image *im, const Elf64_Shdr *sh, struct am_slice *ret)
{
	return sh->sh_type != SHT_NOBITS && slice_of(im, sh->sh_offset, sh->sh_size, ret);
}

/* The string table that a section links to. */
static bool
linked_strings(const struct image *im, const Elf64_Shdr *sh, struct am_slice *ret)
{
	Elf64_Shdr strings;

	return section(im, sh->sh_link, &strings) && strings.sh_type == SHT_STRTAB && content(im, &strings, ret);
}

static bool
read_symbols(const struct image *im, const Elf64_Shdr *sh, struct plugin_elf *out)
{
	static const char prefix[] = "ambient_plugin_v";
	struct am_slice table, strings;

	if (!content(im, sh, &table) || !linked_strings(im, sh, &strings))
		return false;
	for (size_t at = 0; at + sizeof(Elf64_Sym) <= table.n; at += sizeof(Elf64_Sym)) {
		Elf64_Sym sym;

		memcpy(&sym, table.p + at, sizeof(sym));
		/* The longest name of interest has 17 bytes; a table without an end must not cost a scan per symbol. */
		if (sym.st_shndx == SHN_UNDEF || sym.st_name >= strings.n)
			continue;
		const char *name = strings.p + sym.st_name;
		size_t len = strnlen(name, AM_MIN(strings.n - sym.st_name, (size_t)32));
		if (len == strlen("json_object_get") && memcmp(name, "json_object_get", len) == 0)
			out->has_jansson = true;
		if (sh->sh_type == SHT_DYNSYM && len == sizeof(prefix) && memcmp(name, prefix, sizeof(prefix) - 1) == 0 &&
		    name[len - 1] >= '0' && name[len - 1] <= '0' + PLUGIN_ABI_MAX) {
			int abi = name[len - 1] - '0';

			if (out->abi < 0 || abi == AMBIENT_ABI_MAJOR)
				out->abi = abi;
		}
	}
	return true;
}

static bool
read_dynamic(const struct image *im, const Elf64_Shdr *sh, struct plugin_elf *out)
{
	struct am_slice table, strings;

	if (!content(im, sh, &table) || !linked_strings(im, sh, &strings))
		return false;
	for (size_t at = 0; at + sizeof(Elf64_Dyn) <= table.n; at += sizeof(Elf64_Dyn)) {
		Elf64_Dyn dyn;

		memcpy(&dyn, table.p + at, sizeof(dyn));
		if (dyn.d_tag == DT_NULL)
			break;
		if (dyn.d_tag != DT_RUNPATH && dyn.d_tag != DT_RPATH)
			continue;
		const char *s = string_at(strings, dyn.d_un.d_val);
		if (s == NULL)
			return false;
		if (dyn.d_tag == DT_RUNPATH)
			out->runpath = s;
		else
			out->rpath = s;
	}
	return true;
}

static int
check_head(struct image *im, struct ambient_error *err)
{
	const Elf64_Ehdr *h = &im->head;
	unsigned char own = BYTE_ORDER == LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;

	if (im->n < SELFMAG || memcmp(im->data, ELFMAG, SELFMAG) != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "is no shared object");
	if (im->n < sizeof(*h))
		return ambient_err(err, AMBIENT_E_INVALID, "is cut short");
	memcpy(&im->head, im->data, sizeof(*h));
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != own || h->e_machine != OWN_MACHINE)
		return ambient_err(err, AMBIENT_E_INVALID, "is built for another machine");
	if (h->e_type != ET_DYN)
		return ambient_err(err, AMBIENT_E_INVALID, "is no shared object");
	if (h->e_shnum == 0 || h->e_shentsize != sizeof(Elf64_Shdr))
		return ambient_err(err, AMBIENT_E_INVALID, "has no table of sections, it was stripped too far");
	if (h->e_shnum > SECTIONS_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "has %u sections, at most %d are read", h->e_shnum, SECTIONS_MAX);
	return 0;
}

int
am_plugin_elf_parse(const char *data, size_t n, struct plugin_elf *ret, struct ambient_error *err)
{
	struct image im = { .data = data, .n = n };
	Elf64_Shdr sh;
	struct am_slice bytes;
	int rc;

	*ret = (struct plugin_elf){ .abi = -1 };
	rc = check_head(&im, err);
	if (rc < 0)
		return rc;
	if (!section(&im, im.head.e_shstrndx, &sh) || !content(&im, &sh, &im.names))
		return ambient_err(err, AMBIENT_E_INVALID, "is cut short or damaged: no names of its sections");
	for (size_t i = 0; i < im.head.e_shnum; i++) {
		bool ok = section(&im, i, &sh);

		if (ok && (sh.sh_type == SHT_DYNSYM || sh.sh_type == SHT_SYMTAB))
			ok = read_symbols(&im, &sh, ret);
		else if (ok && sh.sh_type == SHT_DYNAMIC)
			ok = read_dynamic(&im, &sh, ret);
		else if (ok && sh.sh_type == SHT_PROGBITS && am_streq(string_at(im.names, sh.sh_name), "ambient_plugin")) {
			if (ret->decl != NULL)
				return ambient_err(err, AMBIENT_E_INVALID, "has two sections \"ambient_plugin\"");
			ok = content(&im, &sh, &bytes);
			if (ok) {
				ret->decl = bytes.p;
				ret->decl_len = bytes.n;
			}
		}
		if (!ok)
			return ambient_err(err, AMBIENT_E_INVALID, "is cut short or damaged: section %zu lies outside of the file",
					   i);
	}
	return 0;
}
