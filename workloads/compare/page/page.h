// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The page's frame, style and script, which are files beside this one, as strings.
#ifndef TALLY_COMPARE_PAGE_H
#define TALLY_COMPARE_PAGE_H

extern const char page_html[], page_css[], page_js[];

#endif
