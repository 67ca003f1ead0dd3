# What R's saveRDS and save write of data and fitted models, in every compression.
out <- commandArgs(trailingOnly = TRUE)[1]
set.seed(1)
data <- data.frame(
  x = rnorm(20), y = rnorm(20), f = factor(rep(c("a", "b"), 10)), s = rep(c("u", "v"), 10),
  t = as.Date("2026-11-23") + 0:19
)
keep <- function(value, name, ...) saveRDS(value, file.path(out, name), ...)
keep(data, "frame.rds")
keep(data, "frame-xz.rds", compress = "xz")
keep(data, "frame-bzip2.rds", compress = "bzip2")
keep(data, "frame-plain.rds", compress = FALSE)
keep(data, "frame-version2.rds", version = 2)
keep(matrix(1:6, 2), "matrix.rds")
keep(list(a = 1, b = "x", c = NULL, d = list(1i, TRUE, as.raw(1))), "list.rds")
keep(lm(y ~ x, data), "lm.rds")
keep(glm(I(y > 0) ~ x, data, family = binomial), "glm.rds")
keep(kmeans(data[, 1:2], 2), "kmeans.rds")
keep(prcomp(data[, 1:2]), "prcomp.rds")
keep(table(data$f, data$s), "table.rds")
save(data, file = file.path(out, "frame.RData"))
