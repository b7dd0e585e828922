// SPDX-License-Identifier: Apache-2.0
module ambient.test/apiload

go 1.21
