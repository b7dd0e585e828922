// SPDX-License-Identifier: Apache-2.0
module ambient.test/http2

go 1.21
